//! IPFIX in a file (RFC 5655): messages one behind the other, templates first and once.

use super::ipfix::{Ipfix, ipfix};
use super::session::Session;
use super::{Error, Format, Options};

/// Longest message in a file, the longest there can be. Whole 4-byte words, for those who map files into memory.
const MESSAGE: usize = 65532;

/// An encoder of IPFIX for a file. Templates come again only after [`Encode::restart`](super::Encode::restart), which a
/// new file asks for.
pub fn ipfix_file(options: &Options) -> Result<Session<Ipfix>, Error> {
    ipfix(&Options { max_message: MESSAGE, resend_messages: 0, resend_seconds: 0, ..options.clone() })
}

/// IPFIX files.
pub const SPEC: Format = Format {
    name: "ipfix-file",
    help: "IPFIX messages in a file, templates first",
    start: |options| Ok(Box::new(ipfix_file(options)?)),
};
