//! Oracle database.
//!
//! The sources give these no types: they are guesses.

use super::elements;

elements! { Group::Oracle;
    /// Oracle user
    ORACLE_USERNAME: FixedText(16), Ntop(200);
    /// Oracle query
    ORACLE_QUERY: Text(128), Ntop(201);
    /// Answer code of the Oracle server
    ORACLE_RSP_CODE: U16, Ntop(202);
    /// Answer text of the Oracle server
    ORACLE_RSP_STRING: Text(64), Ntop(203);
    /// How long the Oracle query took
    ORACLE_QUERY_DURATION: U32, Ntop(204);
}
