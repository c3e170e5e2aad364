//! MySQL.

use super::elements;
use crate::element::Unit::Microseconds;

elements! { Group::Mysql;
    /// Version of the MySQL server
    MYSQL_SERVER_VERSION: FixedText(16), Ntop(195);
    /// MySQL user
    MYSQL_USERNAME: FixedText(16), Ntop(196);
    /// Database in use
    MYSQL_DB: FixedText(64), Ntop(197);
    /// MySQL query
    MYSQL_QUERY: Text(128), Ntop(198);
    /// Answer code of the MySQL server
    MYSQL_RESPONSE: U16, Ntop(199);
    /// Query to answer delay, us
    MYSQL_APPL_LATENCY_USEC: U32, Ntop(320), unit Microseconds;
}
