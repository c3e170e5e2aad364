//! Whois and DAS.
//!
//! The sources give these no types: they are guesses.

use super::elements;

elements! { Group::Whois;
    /// Domain looked up via whois/DAS
    WHOIS_DAS_DOMAIN: Text(64), Ntop(351);
}
