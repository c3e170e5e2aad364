//! The programs: flags, configuration, pipeline, ledger.
