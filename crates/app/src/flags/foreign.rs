//! Options that are not ours: nProbe's that this version does not have, and misspelt ones.

use super::{all, by_letter};
use crate::stop::Stop;

/// nProbe's letters that mean nothing here yet.
pub const LETTERS: &str = "245679AIW";

/// nProbe's long names that mean nothing here yet, parted by blanks. A test fails when one of them becomes a flag.
pub const NAMES: &str = "\
    add-engineid-to-logfile adj-from-as-path agent-mode aggregate-gtp-tunnels as-list asn-mode \
    bgp-server bind-export-interface blacklists cache-geoip-asn city-list \
    cli-http-port clickhouse cloud collect-check-bidirectional-flows \
    custom-fields db-engine dhcp-dump-dir \
    dhcp-exec-cmd diameter-dump-dir diameter-exec-cmd disable-flow-swapping \
    disable-sflow-upscale dns-dump-blacklisted \
    dns-dump-dir dont-hash-cookies dump-collected-pkts dump-metadata dump-pkts dump-plugin-families \
    dump-stats elastic enable-ipv4-deduplication enable-throughput-stats \
    estimate-tcp-latency event-log flow-collection-deduplication ftp-dump-dir ftp-exec-cmd \
    gtp-use-host-in-tunnels gtpv0-dump-dir gtpv0-exec-cmd gtpv1-account-imsi gtpv1-dont-export-flows-immediately \
    gtpv1-dump-dir gtpv1-exec-cmd gtpv1-teid-cache-duration gtpv1-track-imsi gtpv1-track-non-gtp-u-traffic \
    gtpv2-account-imsi gtpv2-dont-export-flows-immediately gtpv2-dump-dir gtpv2-exec-cmd \
    gtpv2-teid-cache-duration gtpv2-track-imsi gtpv2-track-non-gtp-u-traffic host-labels http-content-dump-dir \
    http-content-dump-dir-layout http-content-dump-response http-dump-dir http-exec-cmd http-parse-geolocation \
    http-ports http-server http-verbose-level hw-timestamp-mode ignore-obs-domain-id-port imap-dump-dir \
    imap-exec-cmd imap-peek-headers imsi-apn-aggregation influxdb-dump-dir influxdb-exec-cmd instance-name \
    interpret-flow-packets ips-mode ipsec-auth-data-len ixp-mode ja3plus json-to-syslog kafka \
    kafka-add-timestamp kafka-batch-len kafka-conf kafka-enable-batch kafka-ntopng license-mgr load-custom-fields \
    lua map-ifnames map-postnat max-num-untunnels memory-footprint modbus-dump-dir modbus-exec-cmd \
    modbus-idle-timeout mysql mysql-skip-db-creation nat-subscribe ndpi-categories-dir \
    ndpi-proto-ports ndpi-protocols-dir netbios-dump-dir notify-plugin ntap plugin-dir \
    pop-dump-dir pop-exec-cmd probe-ip process-learning-duration proxy-ports radius-dump-dir radius-exec-cmd redis \
    rtp-discard-late-pkts short-proc-stats simulate-collection sip-dump-dir sip-exec-cmd skip-packet-header-bytes \
    smart-udp-frags smtp-dump-dir smtp-exec-cmd snmp-mapping snmp-mappings ssdp-dump-dir syslog syslog-flow-format \
    tcp tcp-dont-send-flow-lenght terminate-in timestamp-format tls-insecure \
    tunnel tzsp-port ucloud upscale-traffic use-obs-domain-id-port version-json \
    vlanid-as-iface-idx with-dpdk zmq-publish-events zmq-simulate-exporters";

/// The complaint about a long name that is no flag's.
pub fn unknown_name(name: &str) -> Stop {
    if NAMES.split_whitespace().any(|foreign| foreign == name) {
        return Stop::Usage(format!("--{name}: nProbe option --{name} is not supported by this version; leave it out"));
    }
    Stop::Usage(match closest(name) {
        Some(known) => format!("--{name}: unknown option; did you mean --{known}?"),
        None => format!("--{name}: unknown option; see --help"),
    })
}

/// The complaint about a letter that is no flag's.
pub fn unknown_letter(letter: char) -> Stop {
    if LETTERS.contains(letter) {
        return Stop::Usage(format!(
            "-{letter}: nProbe option -{letter} is not supported by this version; leave it out"
        ));
    }
    let other = if letter.is_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
    Stop::Usage(match by_letter(other) {
        Some(known) => format!("-{letter}: unknown option; did you mean {}?", known.names()),
        None => format!("-{letter}: unknown option; see --help"),
    })
}

/// The flag this was probably meant to be: one it begins, or one at most a third of its letters away.
fn closest(name: &str) -> Option<&'static str> {
    let names = || all().flat_map(|flag| std::iter::once(flag.long).chain(flag.aliases.iter().copied()));
    if name.len() >= 3
        && let Some(longer) = names().find(|known| known.starts_with(name))
    {
        return Some(longer);
    }
    names()
        .map(|known| (distance(name, known), known))
        .filter(|&(distance, known)| distance <= known.len().min(9) / 3)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, known)| known)
}

/// How many letters must be put in, left out, replaced or swapped with the next to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().take(64).collect(), to.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let differs = usize::from(from[i - 1] != to[j - 1]);
            let mut best = (rows[i - 1][j - 1] + differs).min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::by_name;

    #[test]
    fn what_is_supported_is_not_called_foreign() {
        for name in NAMES.split_whitespace() {
            assert!(by_name(name).is_none(), "--{name} is a flag now: take it out of NAMES");
        }
        for letter in LETTERS.chars() {
            assert!(by_letter(letter).is_none(), "-{letter} is a flag now: take it out of LETTERS");
        }
    }

    #[test]
    fn misspelt_options_are_recognised() {
        for (typed, meant) in
            [("inteface", "interface"), ("lifetime", "lifetime-timeout"), ("colector", "collector"), ("jsno", "json")]
        {
            assert_eq!(closest(typed), Some(meant));
        }
        assert_eq!(closest("qqqqqq"), None);
        assert_eq!(closest(""), None);
        assert_eq!(distance("abcd", "acbd"), 1);
    }
}
