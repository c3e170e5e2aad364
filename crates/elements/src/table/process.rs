//! The processes that own a flow (agent mode).
//!
//! The sources give no type for SRC_PROC_ACTUAL_MEMORY, SRC_PROC_PEAK_MEMORY, SRC_PROC_AVERAGE_CPU_LOAD,
//! SRC_PROC_NUM_PAGE_FAULTS, DST_PROC_ACTUAL_MEMORY, DST_PROC_PEAK_MEMORY, DST_PROC_AVERAGE_CPU_LOAD,
//! DST_PROC_NUM_PAGE_FAULTS, SRC_PROC_PCTG_IOWAIT, DST_PROC_PCTG_IOWAIT: theirs is a guess.

use super::elements;

elements! { Group::Process;
    /// Process id of the owning process on the flow source side (agent mode)
    SRC_PROC_PID: U32, Ntop(168);
    /// Executable name of the owning process on the flow source side (agent mode)
    SRC_PROC_NAME: FixedText(16), Ntop(169);
    /// User name of the owning process on the flow source side (agent mode)
    SRC_PROC_USER_NAME: FixedText(16), Ntop(372);
    /// Process id of the parent process on the flow source side (agent mode)
    SRC_FATHER_PROC_PID: U32, Ntop(373);
    /// Executable name of the parent process on the flow source side (agent mode)
    SRC_FATHER_PROC_NAME: FixedText(16), Ntop(374);
    /// Process id of the owning process on the flow destination side (agent mode)
    DST_PROC_PID: U32, Ntop(375);
    /// Executable name of the owning process on the flow destination side (agent mode)
    DST_PROC_NAME: FixedText(16), Ntop(376);
    /// User name of the owning process on the flow destination side (agent mode)
    DST_PROC_USER_NAME: FixedText(16), Ntop(377);
    /// Process id of the parent process on the flow destination side (agent mode)
    DST_FATHER_PROC_PID: U32, Ntop(378);
    /// Executable name of the parent process on the flow destination side (agent mode)
    DST_FATHER_PROC_NAME: FixedText(16), Ntop(379);
    /// Resident memory of the owning process on the flow source side (agent mode)
    SRC_PROC_ACTUAL_MEMORY: U32, Ntop(383);
    /// Peak memory of the owning process on the flow source side (agent mode)
    SRC_PROC_PEAK_MEMORY: U32, Ntop(384);
    /// Average cpu load of the owning process on the flow source side (agent mode)
    SRC_PROC_AVERAGE_CPU_LOAD: U32, Ntop(385);
    /// Page fault count of the owning process on the flow source side (agent mode)
    SRC_PROC_NUM_PAGE_FAULTS: U32, Ntop(386);
    /// Resident memory of the owning process on the flow destination side (agent mode)
    DST_PROC_ACTUAL_MEMORY: U32, Ntop(387);
    /// Peak memory of the owning process on the flow destination side (agent mode)
    DST_PROC_PEAK_MEMORY: U32, Ntop(388);
    /// Average cpu load of the owning process on the flow destination side (agent mode)
    DST_PROC_AVERAGE_CPU_LOAD: U32, Ntop(389);
    /// Page fault count of the owning process on the flow destination side (agent mode)
    DST_PROC_NUM_PAGE_FAULTS: U32, Ntop(390);
    /// I/O wait percentage of the owning process on the flow source side (agent mode)
    SRC_PROC_PCTG_IOWAIT: U32, Ntop(393);
    /// I/O wait percentage of the owning process on the flow destination side (agent mode)
    DST_PROC_PCTG_IOWAIT: U32, Ntop(394);
    /// Numeric user id of the owning process on the flow source side (agent mode)
    SRC_PROC_UID: U32, Ntop(425);
    /// Numeric user id of the owning process on the flow destination side (agent mode)
    DST_PROC_UID: U32, Ntop(426);
    /// OS package owning the binary of the owning process on the flow source side (agent mode)
    SRC_PROC_PKG_NAME: FixedText(16), Ntop(540);
    /// OS package owning the binary of the owning process on the flow destination side (agent mode)
    DST_PROC_PKG_NAME: FixedText(16), Ntop(541);
    /// Command line arguments of the owning process on the flow source side (agent mode)
    SRC_PROC_CMDLINE: FixedText(32), Ntop(556);
    /// Command line arguments of the owning process on the flow destination side (agent mode)
    DST_PROC_CMDLINE: FixedText(32), Ntop(557);
    /// Container identifier of the owning process on the flow source side (agent mode)
    SRC_PROC_CONTAINER_ID: FixedText(16), Ntop(558);
    /// Container identifier of the owning process on the flow destination side (agent mode)
    DST_PROC_CONTAINER_ID: FixedText(16), Ntop(559);
    /// OS package owning the binary of the parent process on the flow source side (agent mode)
    SRC_FATHER_PROC_PKG_NAME: FixedText(16), Ntop(561);
    /// OS package owning the binary of the parent process on the flow destination side (agent mode)
    DST_FATHER_PROC_PKG_NAME: FixedText(16), Ntop(563);
    /// Numeric user id of the parent process on the flow source side (agent mode)
    SRC_FATHER_PROC_UID: U32, Ntop(564);
    /// User name of the parent process on the flow source side (agent mode)
    SRC_FATHER_PROC_USER_NAME: FixedText(16), Ntop(565);
    /// Numeric user id of the parent process on the flow destination side (agent mode)
    DST_FATHER_PROC_UID: U32, Ntop(567);
    /// User name of the parent process on the flow destination side (agent mode)
    DST_FATHER_PROC_USER_NAME: FixedText(16), Ntop(568);
}
