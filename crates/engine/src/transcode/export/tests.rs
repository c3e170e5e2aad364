//! Messages by hand become records of one template; see `by_hand`.

use flowsonde_elements::{Mode, Template};

use super::*;
use crate::encode::{Ipfix, NetFlow9};
use crate::transcode::TextLines;
use crate::transcode::by_hand::{SECONDS, ipfix, read, set, through, v9, v9_record, v9_template, words};

const HOME: Home = Home::at([127, 0, 0, 1]);
const MILLIS: u64 = SECONDS as u64 * 1000;

fn options(template: &str) -> Options {
    Options { template: Template::parse(template, Mode::Collector).expect("template"), ..Options::default() }
}

/// Two IPv4 flows of one message, sampled at 100.
fn sampled() -> Vec<u8> {
    let told = [set(1, &words(&[400, 4, 8, 1, 4, 34, 4, 35, 1])), set(400, &[0, 0, 0, 5, 0, 0, 0, 100, 1, 0, 0, 0])];
    v9(10_000, 5, &[told.concat(), v9_template(), set(300, &[v9_record(1), v9_record(2)].concat())])
}

/// 301: both source addresses, ipVersion, an address each; then a flow of IPv6 and one of IPv4.
fn both() -> Vec<u8> {
    let template = set(2, &words(&[301, 4, 8, 4, 27, 16, 60, 1, 1, 4]));
    let six = [&[0; 4][..], &[0x20, 1, 0xd, 0xb8], &[0; 11], &[7, 6, 0, 0, 0, 66]].concat();
    let four = [&[10, 0, 0, 4][..], &[0; 16], &[4, 0, 0, 0, 44]].concat();
    ipfix(9, &[template, set(301, &[six, four].concat())])
}

#[test]
fn times_are_absolute_in_ipfix_and_counters_scaled() {
    let wanted = options("%IPV4_SRC_ADDR %IPV6_SRC_ADDR %IN_BYTES %FIRST_SWITCHED %LAST_SWITCHED %OUT_BYTES %SRC_AS");
    let mut export = Export::<Ipfix>::new(&wanted, HOME).expect("sound");
    let messages = read(&through(&mut export, &[sampled()]));
    let records: Vec<_> = messages.iter().flat_map(|message| &message.records).collect();
    assert_eq!(records.len(), 2);
    assert_eq!(records[1].fields[&(0, 8)], [10, 0, 0, 2]);
    let numbers = [1, 152, 153, 16].map(|id| records[1].number(0, id));
    assert_eq!(numbers, [51_400, MILLIS - 10_000 + 5_000, MILLIS - 10_000 + 9_000, 0]);
    // An IPv4 flow has no IPv6 address, a record of one direction nothing of the other.
    assert_eq!(records[1].fields.len(), 5);
}

#[test]
fn times_are_relative_to_our_own_header_in_netflow9() {
    let wanted = options("%IPV4_SRC_ADDR %IN_PKTS %FIRST_SWITCHED %LAST_SWITCHED %OUT_BYTES");
    let mut export = Export::<NetFlow9>::new(&wanted, HOME).expect("sound");
    let messages = read(&through(&mut export, &[sampled()]));
    let last = messages.last().expect("there");
    let zero = u64::from(last.seconds) * 1000 - u64::from(last.uptime);
    assert_eq!(zero, MILLIS - 86_400_000, "a day before the first message");
    let numbers = [2, 22, 21, 23].map(|id| last.records[0].number(0, id));
    assert_eq!(
        [numbers[0], zero + numbers[1], zero + numbers[2], numbers[3]],
        [300, MILLIS - 5_000, MILLIS - 1_000, 0]
    );
}

#[test]
fn a_layout_of_both_families_is_told_apart_by_record() {
    let wanted = options("%IPV4_SRC_ADDR %IPV6_SRC_ADDR %IN_BYTES");
    let mut export = Export::<NetFlow9>::new(&wanted, HOME).expect("sound");
    let messages = read(&through(&mut export, &[both()]));
    let told: Vec<_> = messages.iter().flat_map(|m| &m.records).map(|r| (r.template, r.number(0, 1))).collect();
    assert_eq!(told, [(257, 44), (258, 66)]);
    let mut export = Export::<NetFlow9>::new(&options("%IPV6_SRC_ADDR"), HOME).expect("sound");
    assert_eq!(through(&mut export, &[both(), sampled()]).len(), 2, "templates, and one record");
    assert_eq!(export.lost(), Lost { not_in_template: 3, ..Lost::default() });
}

#[test]
fn the_other_direction_is_told_where_the_protocol_can() {
    let mut fields = words(&[302, 3, 8, 4, 1, 4, 0x8001, 4]);
    fields.extend(29_305u32.to_be_bytes());
    let message = ipfix(9, &[set(2, &fields), set(302, &[10, 0, 0, 1, 0, 0, 0, 70, 0, 0, 0, 80])]);
    let wanted = Options { biflow: true, ..options("%IPV4_SRC_ADDR %IN_BYTES %OUT_BYTES") };
    let messages = [message];
    let mut export = Export::<Ipfix>::new(&wanted, HOME).expect("sound");
    let record = read(&through(&mut export, &messages))[1].records[0].clone();
    assert_eq!((record.number(0, 1), record.number(29_305, 1)), (70, 80));
    let mut export = Export::<NetFlow9>::new(&wanted, HOME).expect("sound");
    let record = read(&through(&mut export, &messages))[1].records[0].clone();
    assert_eq!((record.number(0, 1), record.number(0, 23)), (70, 80));
}

#[test]
fn netflow5_has_its_fixed_record() {
    let template = set(0, &words(&[303, 6, 8, 4, 1, 8, 16, 4, 10, 4, 7, 2, 22, 4]));
    let mut record = vec![10, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0];
    record.extend(70_000u32.to_be_bytes());
    record.extend(100_000u32.to_be_bytes());
    record.extend(443u16.to_be_bytes());
    record.extend(5_000u32.to_be_bytes());
    let message = v9(10_000, 5, &[template, set(303, &[&record[..], &[0, 0]].concat())]);
    let mut export = Export5::new(&Options { engine: (3, 4), ..options("%IN_BYTES") }, HOME).expect("sound");
    let messages = read(&through(&mut export, &[message, both()]));
    assert_eq!(messages.len(), 1);
    let only = &messages[0];
    assert_eq!(only.domain, 0x304);
    // Bytes and interface over their width, an AS of four bytes.
    let numbers = [1, 10, 16, 7].map(|id| only.records[0].number(0, id));
    assert_eq!(numbers, [u32::MAX.into(), u16::MAX.into(), 23_456, 443]);
    let zero = u64::from(only.seconds) * 1000 - u64::from(only.uptime);
    assert_eq!(zero + only.records[0].number(0, 22), MILLIS - 5_000);
    assert_eq!(only.records[1].number(0, 1), 44);
    assert_eq!(export.lost(), Lost { v5_ipv6: 1, ..Lost::default() });
}

#[test]
fn long_texts_are_cut_where_a_message_is_too_short() {
    let template = set(2, &words(&[304, 2, 82, 65_535, 1, 4]));
    let record = |length: u16| {
        let mut record = vec![255];
        record.extend(length.to_be_bytes());
        record.extend(vec![b'x'; length.into()]);
        record.extend([0, 0, 0, 9]);
        record
    };
    let data = set(304, &[record(100), record(450), record(2_000), record(3)].concat());
    let wanted = Options { max_message: 600, ..options("%INTERFACE_NAME %IN_BYTES %DNS_QUERY") };
    let mut export = Export::<Ipfix>::new(&wanted, HOME).expect("sound");
    let out = through(&mut export, &[ipfix(9, &[template, data])]);
    assert!(out.iter().all(|message| message.len() <= 600));
    let messages = read(&out);
    let lengths: Vec<_> = messages.iter().flat_map(|m| &m.records).map(|r| r.fields[&(0, 82)].len()).collect();
    assert_eq!(lengths.len(), 4);
    assert_eq!([lengths[0], lengths[1], lengths[3]], [100, 450, 3]);
    assert!((200..2_000).contains(&lengths[2]), "{lengths:?}");
}

#[test]
fn text_is_a_line_a_record() {
    let template =
        Template::parse("%IPV4_SRC_ADDR %IPV6_SRC_ADDR %IN_BYTES %FIRST_SWITCHED %DNS_QUERY", Mode::Collector);
    let mut lines = TextLines::new(template.expect("template"), '|', HOME);
    let out = through(&mut lines, &[sampled()]).concat();
    let first = MILLIS / 1000 - 5;
    let line = |n: u8, query: &str| format!("10.0.0.{n}|::|{}|{first}|{query}\n", 51_200 + 100 * u32::from(n));
    assert_eq!(String::from_utf8(out).expect("text"), line(1, "dns\u{1}") + &line(2, "dns\u{2}"));
    // What would break a line is quoted.
    let data = set(304, &[3, b'a', b'|', b'"']);
    let message = ipfix(9, &[set(2, &words(&[304, 1, 82, 65_535])), data]);
    let template = Template::parse("%INTERFACE_NAME %IN_BYTES", Mode::Collector).expect("template");
    let out = through(&mut TextLines::new(template, '|', HOME), &[message]).concat();
    assert_eq!(String::from_utf8(out).expect("text"), "\"a|\"\"\"|0\n");
}

/// What was recorded years ago is told in its own time, and what comes now in ours.
#[test]
fn clocks_far_from_ours_are_followed() {
    let old = |uptime: u32| {
        let mut message = v9(uptime, 5, &[v9_template(), set(300, &[&v9_record(1)[..], &[0, 0]].concat())]);
        message[8..12].copy_from_slice(&1_000_000_000u32.to_be_bytes());
        message
    };
    let messages = [old(10_000), sampled(), old(10_000)];
    let wanted = options("%IPV4_SRC_ADDR %FIRST_SWITCHED");
    let mut export = Export::<NetFlow9>::new(&wanted, HOME).expect("sound");
    let mut export5 = Export5::new(&wanted, HOME).expect("sound");
    for export in [&mut export as &mut dyn Transcode, &mut export5] {
        let told: Vec<u64> = read(&through(export, &messages))
            .iter()
            .flat_map(|message| {
                let zero = u64::from(message.seconds) * 1000 - u64::from(message.uptime);
                message.records.iter().map(move |record| zero + record.number(0, 22)).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(told, [999_999_995_000, MILLIS - 5_000, MILLIS - 5_000, 999_999_995_000]);
    }
}

#[test]
fn what_was_lost_is_told_again() {
    let wanted = Options { stream: true, resend_messages: 1, ..options("%IPV4_SRC_ADDR %IN_BYTES") };
    let transcoders: [Box<dyn Transcode>; 2] = [
        Box::new(Export::<Ipfix>::new(&wanted, HOME).expect("sound")),
        Box::new(crate::transcode::Pass::<Ipfix>::new(&wanted, false)),
    ];
    for mut transcoder in transcoders {
        let mut told = || {
            let out = through(&mut *transcoder, &[sampled()]);
            read(&out).iter().map(|message| message.templates).sum::<usize>()
        };
        let first = told();
        assert!(first > 0);
        transcoder.again();
        let mut again = through(&mut *transcoder, &[sampled()]);
        again.extend(through(&mut *transcoder, &[sampled()]));
        // Once, and not for the message behind it.
        assert_eq!(read(&again).iter().map(|message| message.templates).sum::<usize>(), first);
    }
}
