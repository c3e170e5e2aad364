//! DNS.

use super::elements;
use crate::element::Unit::Seconds;

elements! { Group::Dns;
    /// Name asked for
    DNS_QUERY: Text(256), Ntop(205);
    /// Transaction id
    DNS_QUERY_ID: U16, Ntop(206);
    /// Query type number
    DNS_QUERY_TYPE: U8, Ntop(207);
    /// Response code
    DNS_RET_CODE: U8, Ntop(208);
    /// How many answer records
    DNS_NUM_ANSWERS: U8, Ntop(209);
    /// TTL of the first A answer
    DNS_TTL_ANSWER: U32, Ntop(352), unit Seconds;
    /// Answer data as text
    DNS_RESPONSE: Text(256), Ntop(398);
}
