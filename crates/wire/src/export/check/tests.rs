//! Messages by hand of each format, what damages them, and what is none.

use super::Refused::*;
use super::*;

/// A message from 16-bit numbers, big-endian.
fn halves(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// A message from 32-bit numbers, big-endian.
fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// As `bytes`, the 16-bit number at `at` another.
fn with(bytes: &[u8], at: usize, number: u16) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + 2].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// As `bytes`, the 32-bit number at `at` another.
fn with_word(bytes: &[u8], at: usize, number: u32) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn netflow5(count: u16) -> Vec<u8> {
    let mut bytes = halves(&[5, count, 0, 1, 0x6000, 0, 0, 0, 0, 7, 0x0102, 0x4064]);
    bytes.extend((0..count * 48).map(|n| n as u8));
    bytes
}

fn netflow7(count: u16) -> Vec<u8> {
    let mut bytes = halves(&[7, count, 0, 1, 0x6000, 0, 0, 0, 0, 7, 0, 0]);
    bytes.extend((0..count * 52).map(|n| n as u8));
    bytes
}

/// A set of two templates, one of options templates with two bytes of padding, one of data. The sets begin at 20, 44 and 64.
fn netflow9() -> Vec<u8> {
    let mut bytes = halves(&[9, 4, 0, 1, 0x6000, 0, 0, 3, 0x0102, 0x0304]);
    bytes.extend(halves(&[0, 24, 256, 2, 8, 4, 12, 4, 257, 1, 27, 16]));
    bytes.extend(halves(&[1, 20, 258, 4, 4, 1, 2, 34, 4, 0]));
    bytes.extend(halves(&[256, 12, 0x0a00, 1, 0x0a00, 2]));
    bytes
}

/// The same in IPFIX, with an enterprise's element and a variable length. The sets begin at 16, 44 and 62.
fn ipfix() -> Vec<u8> {
    let mut bytes = halves(&[10, 74, 0x6000, 0, 0, 3, 0x0102, 0x0304]);
    bytes.extend(halves(&[2, 28, 256, 2, 8, 4, 12, 4, 257, 1, 0x8000 | 205, 0xffff, 0, 0x8b30]));
    bytes.extend(halves(&[3, 18, 258, 2, 1, 149, 4, 34, 4]));
    bytes.extend(halves(&[256, 12, 0x0a00, 1, 0x0a00, 2]));
    bytes
}

/// One sample of each format with a record of five bytes and its padding, and one of another enterprise. The first begins
/// at 28.
fn sflow5() -> Vec<u8> {
    let mut bytes = words(&[5, 1, 0x0a00_0001, 9, 3, 1000, 6]);
    for (format, before) in [(1, 7), (2, 2), (3, 10), (4, 3), (5, 7)] {
        bytes.extend(words(&[format, before * 4 + 4 + 16]));
        bytes.extend(words(&vec![0x0101_0101; before as usize]));
        bytes.extend(words(&[1, 0x1001, 5, 0x4141_4141, 0x4100_0000]));
    }
    bytes.extend(words(&[0x0012_3001, 4, 0xffff_ffff]));
    bytes
}

fn checked(format: Format, domain: u32, templates: bool, data: bool) -> Result<Checked, Refused> {
    Ok(Checked { format, domain, templates, data })
}

#[test]
fn messages_of_each_format_pass() {
    for count in [1, 2, 30] {
        assert_eq!(check(&netflow5(count)), checked(Format::NetFlow5, 0x0102, false, true));
    }
    assert_eq!(check(&netflow7(28)), checked(Format::NetFlow7, 0, false, true));
    assert_eq!(check(&netflow9()), checked(Format::NetFlow9, 0x0102_0304, true, true));
    assert_eq!(check(&ipfix()), checked(Format::Ipfix, 0x0102_0304, true, true));
    assert_eq!(check(&sflow5()), checked(Format::Sflow5, 9, false, true));
    // Either alone.
    let (head, sets) = (&netflow9()[..20], &netflow9()[20..]);
    assert_eq!(check(&[head, &sets[..24]].concat()), checked(Format::NetFlow9, 0x0102_0304, true, false));
    assert_eq!(check(&[head, &sets[44..]].concat()), checked(Format::NetFlow9, 0x0102_0304, false, true));
    // An IPv6 agent, and one that tells no address.
    let rest = &sflow5()[12..];
    assert_eq!(check(&[&words(&[5, 2, 1, 2, 3, 4]), rest].concat()), checked(Format::Sflow5, 9, false, true));
    assert_eq!(check(&[&words(&[5, 0]), rest].concat()), checked(Format::Sflow5, 9, false, true));
}

#[test]
fn truncations_are_refused() {
    for whole in [netflow5(2), netflow7(2), ipfix(), sflow5()] {
        for cut in 0..whole.len() {
            assert!(check(&whole[..cut]).is_err(), "version {:?} cut at {cut}", &whole[..4]);
        }
    }
    // NetFlow v9 tells no length: cut behind a set it is another message.
    let whole = netflow9();
    for cut in 0..whole.len() {
        assert_eq!(check(&whole[..cut]).is_ok(), [44, 64].contains(&cut), "NetFlow v9 cut at {cut}");
    }
}

#[test]
fn what_is_behind_the_end_is_refused() {
    for (whole, why) in
        [(netflow5(2), Length), (netflow7(2), Length), (netflow9(), SetHeader), (ipfix(), Length), (sflow5(), Sample)]
    {
        for more in [1, 3, 4, 40] {
            assert_eq!(check(&[whole.clone(), vec![0x41; more]].concat()), Err(why));
        }
    }
    // NetFlow v9 is filled up with zeros by some, as many as look like a set.
    assert_eq!(check(&[netflow9(), vec![0; 3]].concat()), Err(SetHeader));
    assert_eq!(check(&[netflow9(), vec![0; 52]].concat()), check(&netflow9()));
    assert_eq!(check(&[&netflow9()[..20], &[0; 52]].concat()), Err(SetHeader));
}

#[test]
fn counts_of_fixed_records_have_to_fit() {
    for (bytes, count) in
        [(netflow5(2), 0), (netflow5(2), 31), (netflow5(31), 31), (netflow7(29), 29), (netflow7(1), 0)]
    {
        assert_eq!(check(&with(&bytes, 2, count)), Err(Count));
    }
    for (bytes, count) in [(netflow5(2), 1), (netflow5(2), 3), (netflow7(2), 1), (netflow7(2), 3)] {
        assert_eq!(check(&with(&bytes, 2, count)), Err(Length));
    }
}

#[test]
fn a_count_of_netflow9_is_of_something() {
    for (count, passes) in [(0, false), (1, true), (56, true), (57, false), (65535, false)] {
        let checked = check(&with(&netflow9(), 2, count));
        assert_eq!(checked.is_ok(), passes, "{count}");
        assert!(passes || checked == Err(Count));
    }
}

#[test]
fn sets_have_to_lead_to_each_other() {
    for (whole, sets) in [(netflow9(), [20, 44, 64]), (ipfix(), [16, 44, 62])] {
        for at in sets {
            for length in 0..4 {
                assert_eq!(check(&with(&whole, at + 2, length)), Err(SetHeader), "length {length} at {at}");
            }
            assert_eq!(check(&with(&whole, at + 2, 65535)), Err(SetHeader));
            for id in [4, 5, 128, 255] {
                assert_eq!(check(&with(&whole, at, id)), Err(SetId), "id {id} at {at}");
            }
        }
        // Data without any.
        let bytes = &whole[..sets[2] + 4];
        let bytes = with(bytes, sets[2] + 2, 4);
        let bytes = if bytes[1] == 10 { with(&bytes, 2, bytes.len() as u16) } else { bytes };
        assert_eq!(check(&bytes), Err(SetHeader));
    }
    // The ids of templates are not the same.
    assert_eq!(check(&with(&netflow9(), 20, 2)), Err(SetId));
    assert_eq!(check(&with(&ipfix(), 16, 0)), Err(SetId));
    // A header alone.
    assert_eq!(check(&netflow9()[..20]), Err(SetHeader));
    assert_eq!(check(&with(&ipfix()[..16], 2, 16)), Err(SetHeader));
}

#[test]
fn ipfix_is_as_long_as_it_says() {
    for length in [0, 15, 16, 73, 75, 65535] {
        assert_eq!(check(&with(&ipfix(), 2, length)), Err(Length), "{length}");
    }
}

#[test]
fn templates_have_to_fit_their_set() {
    // (message, offset of a number, one that cannot be)
    for (bytes, at, numbers) in [
        // Ids.
        (netflow9(), 24, &[1, 255][..]),
        (netflow9(), 48, &[1, 255]),
        (ipfix(), 20, &[1, 255]),
        (ipfix(), 48, &[1, 255]),
        // Fields.
        (netflow9(), 26, &[0, 1, 3, 5, 0x4000, 65535]),
        (netflow9(), 38, &[0, 2, 65535]),
        (ipfix(), 22, &[1, 3, 5, 65535]),
        (ipfix(), 34, &[2, 65535]),
        (ipfix(), 50, &[3, 65535]),
        // Bytes of scopes and of options, which are 4 each.
        (netflow9(), 50, &[1, 3, 5, 8, 65532, 65535]),
        (netflow9(), 52, &[2, 5, 8, 65532]),
        // Scopes.
        (ipfix(), 52, &[0, 3, 65535]),
        // Without the enterprise bit its number is a field behind the last.
        (ipfix(), 36, &[205]),
        // With it there would have to be a number.
        (ipfix(), 54, &[0x8000 | 149]),
    ] {
        for number in numbers {
            assert_eq!(check(&with(&bytes, at, *number)), Err(Template), "{number} at {at} of {:?}", &bytes[..2]);
        }
    }
    // Records without a byte.
    for (bytes, lengths) in [(netflow9(), [30, 34]), (netflow9(), [56, 60]), (ipfix(), [26, 30]), (ipfix(), [56, 60])] {
        let one = with(&bytes, lengths[0], 0);
        assert!(check(&one).is_ok());
        assert_eq!(check(&with(&one, lengths[1], 0)), Err(Template));
    }
}

#[test]
fn templates_that_are_odd_pass() {
    // YAF's options template set without a template.
    let bytes = [ipfix(), halves(&[3, 4])].concat();
    assert_eq!(check(&with(&bytes, 2, 78)), check(&ipfix()));
    // Withdrawals of one and of all, which no exporter should send over UDP.
    for (set, id, passes) in [(2, 256, true), (2, 2, true), (3, 3, true), (2, 3, false), (3, 255, false)] {
        let bytes = halves(&[10, 24, 0x6000, 0, 0, 3, 0, 1, set, 8, id, 0]);
        assert_eq!(check(&bytes).is_ok(), passes, "{id} in {set}");
    }
    // Padding of zeros that is longer than it should be; of others it is a template.
    let bytes = halves(&[9, 1, 0, 1, 0x6000, 0, 0, 3, 0, 1, 0, 16, 256, 1, 1, 4, 0, 0]);
    assert!(check(&bytes).is_ok());
    assert_eq!(check(&with(&bytes, 34, 1)), Err(Template));
}

#[test]
fn sets_of_templates_are_found() {
    let bytes = netflow9();
    assert!(template_sets(&bytes).eq([&bytes[20..44], &bytes[44..64]]));
    let bytes = ipfix();
    assert!(template_sets(&bytes).eq([&bytes[16..44], &bytes[44..62]]));
    for none in [netflow5(1), netflow7(1), sflow5(), Vec::new(), vec![0, 9], vec![0, 10, 0, 16, 0]] {
        assert_eq!(template_sets(&none).count(), 0);
    }
    // A message of them alone passes, too: header, length, sets.
    let kept = [&with(&bytes[..16], 2, 62), &template_sets(&bytes).collect::<Vec<_>>().concat()[..]].concat();
    assert_eq!(check(&kept), checked(Format::Ipfix, 0x0102_0304, true, false));
}

#[test]
fn samples_have_to_lead_to_each_other() {
    let whole = sflow5();
    for (at, number, why) in [
        // Agent, samples.
        (4, 3, Agent),
        (4, u32::MAX, Agent),
        (24, 0, Count),
        (24, 5, Sample),
        (24, 7, Sample),
        (24, u32::MAX, Count),
        // Length of the first sample, which is 48, and of the last.
        (32, 0, Sample),
        (32, 28, Sample),
        (32, 44, Record),
        (32, 47, Sample),
        (32, 49, Sample),
        (32, u32::MAX, Sample),
        (whole.len() - 8, 0, Sample),
        (whole.len() - 8, 8, Sample),
        // Records of the first, and the length of one, which is 5.
        (64, 0, Record),
        (64, 2, Record),
        (64, 3, Count),
        (64, u32::MAX, Count),
        (72, 4, Record),
        (72, 9, Record),
        (72, u32::MAX, Record),
    ] {
        assert_eq!(check(&with_word(&whole, at, number)), Err(why), "{number} at {at}");
    }
    // A count of records that is wrong, in each format.
    let mut at = 28;
    for before in [7, 2, 10, 3, 7] {
        let count = at + 8 + before * 4;
        assert_eq!(whole[count..count + 4], [0, 0, 0, 1]);
        assert_eq!(check(&with_word(&whole, count, 0)), Err(Record));
        assert_eq!(check(&with_word(&whole, count, 3)), Err(Count));
        at = count + 4 + 16;
    }
}

#[test]
fn what_is_no_flow_export_is_refused() {
    let dns = [&halves(&[0x1234, 0x0100, 1, 0, 0, 0])[..], b"\x03www\x07example\x03com\0", &halves(&[1, 1])].concat();
    let mut tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    tls.extend((0..505).map(|n| (n * 7) as u8));
    let snmp = b"\x30\x26\x02\x01\x01\x04\x06public\xa0\x19\x02\x01\x01\x02\x01\x00\x02\x01\x00\x30\x0e\x30\x0c\x06\x08\x2b\x06\x01\x02\x01\x01\x01\x00\x05\x00";
    let mut ntp = vec![0x23, 0, 6, 0xec];
    ntp.extend([0; 44]);
    let mut quic = b"\xc3\0\0\0\x01\x08".to_vec();
    quic.extend([0x5a; 1194]);
    for (name, bytes) in [
        ("HTTP", &b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"[..]),
        ("HTTP answer", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("DNS", &dns),
        ("TLS", &tls),
        ("SNMP", snmp),
        ("syslog", b"<34>Oct 11 22:14:15 host su: 'su root' failed for lonvick on /dev/pts/8"),
        ("NTP", &ntp),
        ("SIP", b"OPTIONS sip:a@example.com SIP/2.0\r\n\r\n"),
        ("SSH", b"SSH-2.0-OpenSSH_9.2p1\r\n"),
        ("QUIC", &quic),
        ("JSON", b"{\"IPV4_SRC_ADDR\":\"192.0.2.1\"}"),
        ("text", b"5 records follow"),
    ] {
        assert_eq!(check(bytes), Err(Version), "{name}");
    }
    // A DNS query whose id is a version of NetFlow.
    for version in [5, 7, 9, 10] {
        assert!(check(&with(&dns, 0, version)).is_err(), "DNS, id {version}");
    }
    for length in 0..=1500 {
        let why = if length < 4 { TooShort } else { Version };
        assert_eq!(check(&vec![0; length]), Err(why), "{length} zeros");
        assert_eq!(check(&vec![0xff; length]), Err(why), "{length} ones");
    }
    // Other versions of NetFlow, and of sFlow.
    for version in [0, 1, 2, 3, 4, 6, 8, 11, 0x0500, 0x0900, 0x0a00, 65535] {
        assert_eq!(check(&with(&netflow5(1), 0, version)), Err(Version), "NetFlow v{version}");
    }
    for version in [1, 2, 3, 4, 6, 9, 10] {
        assert_eq!(check(&with_word(&sflow5(), 0, version)), Err(Version), "sFlow v{version}");
    }
}

#[test]
fn random_bytes_are_refused_behind_any_version() {
    // xorshift; the same bytes in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut passed = 0;
    for n in 0..50_000 {
        let length = 4 + random() as usize % 1400;
        let mut bytes: Vec<u8> = (0..length).map(|_| random() as u8).collect();
        let version = [0, 5, 7, 9, 10][n % 5];
        bytes[..2].copy_from_slice(&u16::to_be_bytes(version));
        if version == 0 {
            bytes[2..4].copy_from_slice(&[0, 5]);
        }
        passed += u64::from(check(&bytes).is_ok());
        template_sets(&bytes).for_each(drop);
    }
    assert_eq!(passed, 0);
}

#[test]
fn names_are_the_variants_in_snake_case() {
    for (n, refused) in Refused::ALL.into_iter().enumerate() {
        assert_eq!(refused as usize, n);
        let bare = refused.name().replace('_', "");
        assert_eq!(bare, format!("{refused:?}").to_lowercase());
    }
}
