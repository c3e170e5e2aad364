//! Messages by hand go through the collector and are passed on; what comes out is read by the encoders' test reader.

use super::*;
use crate::decode::collector::Config;
use crate::encode::{Ipfix, NetFlow9};
use crate::transcode::by_hand::{SECONDS, ipfix, read, sent, sent_by, set, through, v9, v9_record, v9_template, words};

fn options() -> Options {
    Options { domain: 7 << 24, ..Options::default() }
}

#[test]
fn netflow9_leaves_as_ipfix_with_its_bytes_and_its_start() {
    let records: Vec<u8> = (1..=3).flat_map(v9_record).collect();
    let data = set(300, &[&records[..], &[0, 0]].concat());
    let mut pass = Pass::<Ipfix>::new(&Options { max_message: 65_535, ..options() }, false);
    let out = through(&mut pass, &[v9(10_000, 5, &[v9_template(), data.clone()]), v9(10_250, 5, &[data])]);
    let messages = read(&out);
    assert_eq!(messages.len(), 1, "one second and one domain are one message");
    let message = &messages[0];
    assert_eq!((message.seconds, message.domain, message.templates), (SECONDS, 7 << 24, 3));
    let told: Vec<_> = message.records.iter().map(|record| record.fields.clone()).collect();
    assert_eq!(told.len(), 6);
    assert_eq!(told[1][&(0, 8)], [10, 0, 0, 2]);
    assert_eq!(told[1][&(0, 1)], [0, 0, 2, 2]);
    assert_eq!(told[1][&(0, 22)], 5_000u32.to_be_bytes());
    assert_eq!(told[1][&(35_632, 205)], [b'd', b'n', b's', 2]);
    assert_eq!(told[1][&(9, 12_232)], [0xab, 2]);
    // The exporter, its domain, nothing sampled; its start, and again as it is another by the second message.
    let fields = &message.options[0].fields;
    assert_eq!(fields[&(0, 130)], [192, 0, 2, 1]);
    assert_eq!([405, 34].map(|id| message.options[0].number(0, id)), [5, 1]);
    assert!(!fields.contains_key(&(0, 305)));
    let starts: Vec<u64> = message.options[1..].iter().map(|record| record.number(0, 160)).collect();
    assert_eq!(starts, [u64::from(SECONDS) * 1000 - 10_000, u64::from(SECONDS) * 1000 - 10_250]);
    // The records' own bytes, one behind the other.
    assert!(out[0].windows(records.len()).any(|window| window == records));
}

#[test]
fn netflow9_leaves_as_netflow9_with_its_header_s_times() {
    let data = |n| set(300, &[&v9_record(n)[..], &[0, 0]].concat());
    let mut pass = Pass::<NetFlow9>::new(&options(), false);
    let first = v9(10_000, 5, &[v9_template(), data(1)]);
    let out = through(&mut pass, &[first, v9(10_250, 5, &[data(2)]), v9(10_250, 6, &[v9_template(), data(3)])]);
    let messages = read(&out);
    let heads: Vec<_> = messages.iter().map(|m| (m.uptime, m.seconds, m.domain - (7 << 24), m.sequence)).collect();
    assert_eq!(heads, [(10_000, SECONDS, 0, 0), (10_250, SECONDS, 0, 1), (10_250, SECONDS, 1, 0)]);
    for (message, n) in messages.iter().zip([1, 2, 3]) {
        assert_eq!(message.records[0].fields[&(0, 57_472 + 205)], [b'd', b'n', b's', n]);
        assert_eq!(message.records[0].fields[&(0, 45_000)], [0xab, n]);
    }
}

#[test]
fn sampled_counters_are_multiplied_in_place_and_saturate() {
    // Options template 400: scope system; interval, mode.
    let told = [set(1, &words(&[400, 4, 8, 1, 4, 34, 4, 35, 1])), set(400, &[0, 0, 0, 5, 0, 0, 0, 100, 1, 0, 0, 0])];
    let mut large = v9_record(2);
    large[8..12].copy_from_slice(&[0x80, 0, 0, 0]);
    let data = set(300, &[v9_record(1), large].concat());
    let mut pass = Pass::<Ipfix>::new(&options(), false);
    let out = through(&mut pass, &[v9(10_000, 5, &[told.concat(), v9_template(), data])]);
    let message = &read(&out)[0];
    let numbers = |at: usize| [1, 2, 22].map(|id| message.records[at].number(0, id));
    assert_eq!(numbers(0), [51_300, 300, 5_000]);
    assert_eq!(numbers(1), [u32::MAX.into(), 300, 5_000]);
    // The exporter's, which would have a receiver multiply again; ours.
    assert_eq!(message.options[0].number(0, 34), 1);
    let options = &message.options[1];
    assert_eq!([34, 305, 306].map(|id| options.number(0, id)), [1, 100, 0]);
}

#[test]
fn a_record_s_own_rate_becomes_one() {
    let template = set(0, &words(&[300, 4, 8, 4, 1, 4, 34, 4, 48, 1]));
    let data = set(300, &[10, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 10, 7, 10, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, 1, 7, 0, 0]);
    let mut pass = Pass::<NetFlow9>::new(&options(), false);
    let out = through(&mut pass, &[v9(10_000, 5, &[template, data])]);
    let message = &read(&out)[0];
    let told = |at: usize| [1, 34].map(|id| message.records[at].number(0, id));
    assert_eq!([told(0), told(1)], [[90, 1], [9, 1]]);
}

/// 300: bytes reversed, a variable text, source port, a variable counter, unknown 99.5.
fn ipfix_template() -> Vec<u8> {
    let mut fields = words(&[300, 5, 0x8001, 4]);
    fields.extend(29_305u32.to_be_bytes());
    fields.extend(words(&[82, 65_535, 7, 2, 2, 65_535, 0x8005, 2]));
    fields.extend(99u32.to_be_bytes());
    set(2, &fields)
}

const IPFIX_RECORD: [u8; 16] = [0, 0, 0, 80, 4, b'e', b't', b'h', b'0', 0xc3, 0x50, 2, 1, 0, 0xab, 0xcd];

#[test]
fn variable_lengths_stay_in_ipfix_and_are_left_out_of_netflow9() {
    let messages = [ipfix(5, &[ipfix_template(), set(300, &IPFIX_RECORD.repeat(3))])];
    let mut pass = Pass::<Ipfix>::new(&options(), false);
    let out = through(&mut pass, &messages);
    assert!(out[0].ends_with(&IPFIX_RECORD.repeat(3)));
    assert_eq!((read(&out)[0].records.len(), pass.lost()), (3, Lost::default()));
    let mut pass = Pass::<NetFlow9>::new(&options(), false);
    let out = read(&through(&mut pass, &messages));
    let fields: Vec<_> = out[0].records[2].fields.clone().into_iter().collect();
    assert_eq!(fields, [((0, 7), vec![0xc3, 0x50]), ((0, 23), vec![0, 0, 0, 80])]);
    assert_eq!(pass.lost().fields, 3);
}

#[test]
fn variable_records_are_multiplied_too() {
    let template = set(2, &words(&[300, 3, 82, 65_535, 2, 65_535, 34, 4]));
    let data = set(300, &[2, b'l', b'o', 2, 1, 0, 0, 0, 0, 10, 1, b'x', 1, 9, 0, 0, 0, 1]);
    let mut pass = Pass::<Ipfix>::new(&options(), false);
    let out = through(&mut pass, &[ipfix(5, &[template, data])]);
    assert!(out[0].ends_with(&[2, b'l', b'o', 2, 10, 0, 0, 0, 0, 1, 1, b'x', 1, 9, 0, 0, 0, 1]));
}

#[test]
fn messages_keep_their_bounds_and_templates_come_again() {
    let data = set(300, &(0..40).flat_map(v9_record).collect::<Vec<_>>());
    let (first, again) = (v9(10_000, 5, &[v9_template(), data.clone()]), v9(10_000, 5, &[data]));
    let wanted = Options { max_message: 500, resend_messages: 2, resend_seconds: 0, ..options() };
    for version in [9, 10] {
        let mut pass: Box<dyn Transcode> = match version {
            9 => Box::new(Pass::<NetFlow9>::new(&wanted, false)),
            _ => Box::new(Pass::<Ipfix>::new(&wanted, false)),
        };
        let out = through(&mut *pass, &[first.clone(), again.clone()]);
        assert!(out.iter().all(|message| message.len() <= 500));
        let messages = read(&out);
        assert_eq!(messages.iter().map(|message| message.records.len()).sum::<usize>(), 80);
        let own = messages.iter().filter(|message| message.templates > 0).count();
        assert_eq!(own, 2, "before each of the two sets, with two messages and more between them");
        let addresses: Vec<u8> = messages.iter().flat_map(|m| &m.records).map(|r| r.fields[&(0, 8)][3]).collect();
        assert_eq!(addresses, (0..40).chain(0..40).collect::<Vec<u8>>());
    }
}

#[test]
fn used_up_template_ids_begin_a_new_domain() {
    let wanted = Options { first_template_id: u16::MAX - 8, ..options() };
    let mut pass = Pass::<Ipfix>::new(&wanted, false);
    // Seven ids are left behind our own two; each message brings another template under the same id.
    let messages: Vec<_> = (0..20)
        .map(|n| v9(10_000, 5, &[set(0, &words(&[300, 1, 500 + n, 4])), set(300, &[0, 0, 0, n as u8])]))
        .collect();
    let out = read(&through(&mut pass, &messages));
    let mut told: Vec<(u16, u8)> = Vec::new();
    for record in out.iter().flat_map(|message| &message.records) {
        told.extend(record.fields.iter().map(|((_, id), octets)| (*id, octets[3])));
    }
    assert_eq!(told, (0..20).map(|n| (500 + n, n as u8)).collect::<Vec<_>>());
    let domains: std::collections::BTreeSet<u32> = out.iter().map(|message| message.domain - (7 << 24)).collect();
    assert_eq!(domains, [0, 1, 2].into());
}

/// Names of two interfaces by their scope; two samplers by the scope of the system.
fn told_by_v9() -> Vec<u8> {
    let names = [set(1, &words(&[400, 4, 4, 2, 4, 82, 4])), set(400, b"\0\0\0\x01Gi0\0\0\0\0\x02Gi1\0")];
    let samplers = [
        set(1, &words(&[401, 4, 12, 1, 4, 48, 1, 50, 4, 84, 3])),
        set(401, &[192, 0, 2, 1, 1, 0, 0, 0, 100, b'o', b'n', b'e', 192, 0, 2, 1, 2, 0, 0, 3, 232, b't', b'w', b'o']),
    ];
    [names.concat(), samplers.concat()].concat()
}

/// Records of the flows' sampler 2.
fn sampled_by_2() -> Vec<u8> {
    [set(0, &words(&[300, 3, 8, 4, 1, 4, 48, 1])), set(300, &[10, 0, 0, 1, 0, 0, 0, 5, 2])].concat()
}

/// Options of exporters, without ours.
fn of_exporters(messages: &[crate::encode::reader::Message]) -> Vec<&crate::encode::reader::Record> {
    let all = messages.iter().flat_map(|message| &message.options);
    all.filter(|record| !record.fields.contains_key(&(0, 405)) && !record.fields.contains_key(&(0, 160))).collect()
}

#[test]
fn options_of_exporters_are_passed_on_with_their_scopes() {
    const SCOPE: u32 = 1_000_000;
    let came = [v9(10_000, 5, &[told_by_v9()]), v9(10_250, 5, &[sampled_by_2()])];
    let ipfix: Box<dyn Transcode> = Box::new(Pass::<Ipfix>::new(&options(), false));
    let v9: Box<dyn Transcode> = Box::new(Pass::<NetFlow9>::new(&options(), false));
    for (mut pass, interface, system) in [(ipfix, &(0, 10), &(0, 144)), (v9, &(SCOPE, 2), &(SCOPE, 1))] {
        let out = sent(&mut *pass, &came);
        let messages = read(&out.iter().map(|(message, _)| message.to_vec()).collect::<Vec<_>>());
        let told = of_exporters(&messages);
        assert_eq!((told.len(), out.options()), (4, 4));
        let fields = |at: usize| told[at].fields.iter().map(|(key, value)| (*key, &value[..])).collect::<Vec<_>>();
        let mut first = vec![(*interface, &[0, 0, 0, 1][..]), ((0, 82), b"Gi0\0")];
        first.sort_unstable();
        assert_eq!(fields(0), first);
        // Both tell a rate of 1, as the counters are multiplied.
        for (at, (id, name)) in [(2, (1, b"one")), (3, (2, b"two"))] {
            let mut expected = vec![
                (*system, &[192, 0, 2, 1][..]),
                ((0, 48), core::slice::from_ref(&id)),
                ((0, 50), &[0, 0, 0, 1]),
                ((0, 84), name),
            ];
            expected.sort_unstable();
            assert_eq!(fields(at), expected);
        }
        let flows: Vec<_> = messages.iter().flat_map(|message| &message.records).collect();
        assert_eq!((flows.len(), flows[0].number(0, 1)), (1, 5000));
        // The flows' template and the three of options are four numbers.
        let mut ids: Vec<u16> = told.iter().chain(&flows).map(|record| record.template).collect();
        ids.dedup();
        ids.sort_unstable();
        assert_eq!(ids.len(), 3);
        ids.dedup();
        assert_eq!(ids.len(), 3);
        assert_eq!(pass.passed(), Some(Passed { received: 4, untold: 0, pending: 0 }));
    }
}

#[test]
fn rates_are_passed_on_where_counters_are() {
    for (config, rate, octets) in [
        (Config { upscale: false, ..Config::default() }, 1000, 5),
        (Config { rate: Some(1), ..Config::default() }, 1000, 5),
        (Config { rate: Some(10), ..Config::default() }, 1, 50),
    ] {
        let mut pass = Pass::<Ipfix>::new(&options(), false);
        let out = sent_by(config, &mut pass, &[v9(10_000, 5, &[told_by_v9(), sampled_by_2()])]);
        let messages = read(&out.iter().map(|(message, _)| message.to_vec()).collect::<Vec<_>>());
        assert_eq!(of_exporters(&messages)[3].number(0, 50), rate);
        assert_eq!(
            messages.iter().find_map(|message| message.records.first()).map(|flow| flow.number(0, 1)),
            Some(octets)
        );
    }
}

/// Juniper's scope of no bytes; a scope v9 has none for; a probability; a text v9 has no place for.
#[test]
fn scopes_that_cannot_be_told_are_fields_or_our_domain() {
    let none = [set(1, &words(&[400, 4, 4, 1, 0, 42, 4])), set(400, &[0, 0, 0, 9])].concat();
    let out = read(&through(&mut Pass::<Ipfix>::new(&options(), false), &[v9(10_000, 5, &[none])]));
    let told = of_exporters(&out)[0].fields.clone();
    let number = (7u32 << 24).to_be_bytes().to_vec();
    assert_eq!(told, [((0, 42), vec![0, 0, 0, 9]), ((0, 149), number.clone())].into());
    let vrf = [
        set(3, &words(&[400, 4, 1, 234, 4, 236, 4, 311, 8, 82, 65_535])),
        set(400, &[&[0, 0, 0, 7][..], b"red\0", &0.01f64.to_be_bytes(), &[2, b'e', b'0']].concat()),
    ];
    let vrf = ipfix(5, &vrf);
    let out = read(&through(&mut Pass::<NetFlow9>::new(&options(), false), core::slice::from_ref(&vrf)));
    let one = 1f64.to_be_bytes().to_vec();
    let mut expected: std::collections::BTreeMap<_, _> =
        [((1_000_000, 1), number), ((0, 234), vec![0, 0, 0, 7]), ((0, 236), b"red\0".to_vec()), ((0, 311), one)].into();
    assert_eq!(of_exporters(&out)[0].fields, expected);
    // In IPFIX all of it has a place.
    let out = read(&through(&mut Pass::<Ipfix>::new(&options(), false), &[vrf]));
    expected.remove(&(1_000_000, 1));
    expected.insert((0, 82), b"e0".to_vec());
    assert_eq!(of_exporters(&out)[0].fields, expected);
    // Nothing but a text is nothing in v9.
    let text = [set(3, &words(&[400, 2, 1, 10, 4, 82, 65_535])), set(400, &[0, 0, 0, 7, 2, b'e', b'0'])];
    let mut pass = Pass::<NetFlow9>::new(&options(), false);
    let out = sent(&mut pass, &[ipfix(5, &text)]);
    assert_eq!((out.len(), pass.passed()), (0, Some(Passed { received: 1, untold: 1, pending: 0 })));
}

#[test]
fn options_keep_the_bounds_of_messages() {
    let wanted = Options { max_message: 200, ..options() };
    let names: Vec<u8> = (0..100u32).flat_map(|n| [&n.to_be_bytes()[..], b"eth0"].concat()).collect();
    let came = v9(10_000, 5, &[set(1, &words(&[400, 4, 4, 2, 4, 82, 4])), set(400, &names)]);
    for version in [9, 10] {
        let mut pass: Box<dyn Transcode> = match version {
            9 => Box::new(Pass::<NetFlow9>::new(&wanted, false)),
            _ => Box::new(Pass::<Ipfix>::new(&wanted, false)),
        };
        let out = through(&mut *pass, core::slice::from_ref(&came));
        assert!(out.len() > 5 && out.iter().all(|message| message.len() <= 200));
        let messages = read(&out);
        let interfaces: Vec<u64> = of_exporters(&messages)
            .iter()
            .map(|record| record.fields.values().find(|value| **value != b"eth0").map_or(0, |value| value[3].into()))
            .collect();
        assert_eq!(interfaces, (0..100).collect::<Vec<u64>>());
    }
}
