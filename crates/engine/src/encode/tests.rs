//! What the wire formats send, read back by a reader of its own, and one message of each octet by octet.

#![allow(clippy::panic, reason = "a test fails by it")]

use flowsonde_elements::{Element, Kind, Mode, Template, table};
use flowsonde_wire::Nanos;
use flowsonde_wire::export::ipfix::Specifier;

use super::about::About;
use super::ipfix::Ipfix;
use super::program::Source;
use super::reader::{Message, Reader};
use super::sample::{self, Flow};
use super::session::{Header, Protocol, Session, Tally};
use super::{Encode, Messages, Options, format, ipfix, netflow5, netflow9};
use crate::fill::{Env, Row};

const V5: &str = "netflow5";
const V9: &str = "netflow9";
const IPFIX: &str = "ipfix";
const REVERSE: u32 = 29305;

fn options(template: &str) -> Options {
    let template = Template::parse(template, Mode::Probe).expect("template");
    Options { template, engine: (1, 2), domain: 258, ..Options::default() }
}

fn env() -> Env {
    Env { boot: Nanos(1_699_999_999_123_000_000), now: Nanos(1_700_000_003_500_000_000), ..Env::default() }
}

fn encoder(name: &str, options: &Options) -> Box<dyn Encode> {
    (format(name).expect("format").start)(options).expect("encoder")
}

fn encode(name: &str, options: &Options, flows: &[Flow], env: &Env) -> Messages {
    let (mut encoder, mut out) = (encoder(name, options), Messages::default());
    for flow in flows {
        encoder.encode(&flow.view(), env, &mut out);
    }
    encoder.flush(env, &mut out);
    out
}

fn read(out: &Messages) -> Vec<Message> {
    let mut reader = Reader::default();
    out.iter().map(|(bytes, _)| reader.read(bytes)).collect()
}

/// One flow's records.
fn records(name: &str, options: &Options, flow: &Flow, env: &Env) -> Vec<super::reader::Record> {
    read(&encode(name, options, core::slice::from_ref(flow), env)).into_iter().flat_map(|m| m.records).collect()
}

fn octets(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|two| u8::from_str_radix(str::from_utf8(two).expect("text"), 16).expect("hex")).collect()
}

#[track_caller]
fn sent(out: &Messages, expected: &[&str]) {
    let sent: Vec<Vec<u8>> = out.iter().map(|(message, _)| message.to_vec()).collect();
    let expected: Vec<Vec<u8>> = expected.iter().map(|text| octets(text)).collect();
    assert_eq!(sent, expected);
}

#[test]
fn netflow5_octet_by_octet() {
    let message = "0005 0002 00001119 6553f103 1dcd6500 00000000 01 02 0000
        c0000201 c6336407 00000000 0000 0000 00000003 000005dc 000003e8 00000d31 c350 01bb 00 1b 06 28 0000 0000 00 00 0000
        c6336407 c0000201 00000000 0000 0000 00000002 000007d0 00000467 00000a43 01bb c350 00 1b 06 00 0000 0000 00 00 0000";
    sent(&encode(V5, &options("%IN_BYTES"), &[sample::v4()], &env()), &[message]);
}

#[test]
fn netflow9_octet_by_octet() {
    let templates = "0009 0005 0000130d 6553f104 00000000 00000102
        0000 001c 0101 0005 0002 0004 0018 0004 000b 0002 0004 0001 0016 0004
        0001 0018 0102 0004 0008 0001 0004 0022 0004 0023 0001 0000
        0001 001c 0103 0004 000c 0001 0004 0028 0004 0029 0004 002a 0004 0000
        0102 0010 00000102 00000001 01 000000
        0103 0014 00000102 00000000 00000000 00000000";
    let data = "0009 0001 0000130d 6553f104 00000001 00000102
        0101 0014 00000003 00000002 01bb 06 000003e8 00";
    let options = options("%IN_PKTS %OUT_PKTS %L4_DST_PORT %PROTOCOL %FIRST_SWITCHED");
    sent(&encode(V9, &options, &[sample::v4()], &env()), &[templates, data]);
}

#[test]
fn ipfix_octet_by_octet() {
    let templates = "000a 00cd 6553f103 00000000 00000102
        0002 0024 0101 0005 0002 0008 8002 0008 00007279 000b 0002 0098 0008 80cd ffff 00008b30
        0003 001a 0102 0004 0001 0095 0004 00a0 0008 0022 0004 0023 0001
        0003 001a 0103 0004 0001 012e 0008 0130 0002 0131 0004 0132 0004
        0003 001a 0104 0004 0001 0095 0004 0028 0008 0029 0008 002a 0008
        0102 0015 00000102 0000018bcfe56493 00000001 01
        0103 0016 0000000000000001 0001 00000001 00000000
        0104 0020 00000102 0000000000000000 0000000000000000 0000000000000000";
    let data = "000a 002f 6553f103 00000003 00000102
        0101 001f 0000000000000003 0000000000000002 01bb 0000018bcfe5687b 00";
    let options = options("%IN_PKTS %OUT_PKTS %L4_DST_PORT %FIRST_SWITCHED %DNS_QUERY");
    sent(&encode(IPFIX, &Options { biflow: true, ..options }, &[sample::v4()], &env()), &[templates, data]);
}

/// Flows of both families, some of one direction.
fn many(count: u64) -> impl Iterator<Item = Flow> {
    (0..count).map(|n| match n % 5 {
        0 => sample::v6(),
        1 => sample::flow(("192.0.2.9", 1000), ("198.51.100.7", 53), 17, [n + 1, 0]),
        2 => sample::flow(("2001:db8::9", 0x0800), ("2001:db8::7", 0x0800), 58, [1, n]),
        _ => sample::v4(),
    })
}

#[test]
fn messages_fit_count_and_follow_each_other() {
    let variable = "@DEFAULT@ %INTERFACE_NAME %DNS_QUERY".replace("@DEFAULT@", &Template::default().to_string());
    for (name, template, biflow) in [
        (V5, variable.as_str(), false),
        (V9, &variable, false),
        (IPFIX, &variable, false),
        (IPFIX, &variable, true),
        (IPFIX, "%IN_BYTES %PROTOCOL", false),
        (V9, "%PROTOCOL", false),
        (V9, "%IN_BYTES %PROTOCOL", false),
        ("ipfix-file", &variable, true),
    ] {
        for (max_message, text) in [(548, 40), (549, 300), (1451, 255), (1472, 254), (65_535, 3000), (548, 60_000)] {
            let options = Options { max_message, biflow, resend_messages: 3, ..options(template) };
            let mut env = Env { interface_name: "é".repeat(text / 2), ..env() };
            let (mut encoder, mut out) = (encoder(name, &options), Messages::default());
            for flow in many(700) {
                encoder.encode(&flow.view(), &env, &mut out);
                env.now.0 += 10_000_000;
                encoder.tick(&env, &mut out);
            }
            encoder.flush(&env, &mut out);
            let counters = encoder.counters();
            let limit = if name == "ipfix-file" { 65_535 } else { max_message };
            assert!(out.iter().all(|(bytes, _)| bytes.len() <= limit), "{name} {max_message} {text}");
            let messages = read(&out);
            for (message, (_, records)) in messages.iter().zip(out.iter()) {
                assert_eq!(message.records.len(), records as usize);
                assert_eq!(message.domain, 258);
                // v9 tells the next whole second, so that no flow ends later.
                assert!((1_700_000_003..1_700_000_012).contains(&message.seconds));
                assert!(message.uptime == 0 || (4377..13_000).contains(&message.uptime));
            }
            assert_eq!(out.records(), counters.records, "{name} {max_message} {text}");
            assert_eq!((counters.flows, counters.pending), (700, 0));
            assert_eq!(counters.encoded + counters.v5_ipv6 + counters.untold, 700);
            assert_eq!(counters.v5_ipv6, if name == V5 { 280 } else { 0 });
        }
    }
}

/// Numbers of the messages that hold templates.
fn announced(messages: &[Message]) -> Vec<usize> {
    messages.iter().enumerate().filter(|(_, message)| message.templates > 0).map(|(at, _)| at).collect()
}

#[test]
fn templates_come_again_by_messages() {
    for name in [V9, IPFIX] {
        let options = Options { resend_messages: 4, resend_seconds: 0, min_flows: 1, ..options("%IN_PKTS %OUT_PKTS") };
        let flows: Vec<Flow> =
            core::iter::repeat_n(sample::flow(("192.0.2.1", 1), ("192.0.2.2", 2), 17, [1, 0]), 9).collect();
        let messages = read(&encode(name, &options, &flows, &env()));
        assert_eq!(announced(&messages), [0, 5, 10], "{name}");
        let never = read(&encode(name, &Options { resend_messages: 0, ..options }, &flows, &env()));
        assert_eq!((announced(&never), never.len()), (vec![0], 10));
        // What is told of the exporter follows the templates, the messages before this one counted.
        assert_eq!(
            messages[5].options.last().map(|options| (options.number(0, 41), options.number(0, 42))),
            Some((5, 4))
        );
    }
}

#[test]
fn a_stream_gets_templates_once_and_statistics_again() {
    for name in [V9, IPFIX] {
        let again = Options { resend_messages: 4, resend_seconds: 0, min_flows: 1, ..options("%IN_PKTS %OUT_PKTS") };
        let flows: Vec<Flow> =
            core::iter::repeat_n(sample::flow(("192.0.2.1", 1), ("192.0.2.2", 2), 17, [1, 0]), 9).collect();
        let messages = read(&encode(name, &Options { stream: true, ..again.clone() }, &flows, &env()));
        assert_eq!(announced(&messages), [0], "{name}");
        let told = messages.iter().enumerate().filter_map(|(at, message)| {
            message.options.last().map(|options| (at, options.number(0, 41), options.number(0, 42)))
        });
        assert_eq!(told.collect::<Vec<_>>(), [(0, 0, 0), (5, 5, 4), (10, 10, 8)], "{name}");

        let (mut encoder, mut out) = (encoder(name, &Options { stream: true, ..again }), Messages::default());
        for _ in 0..2 {
            encoder.encode(&flows[0].view(), &env(), &mut out);
            out.clear();
            encoder.restart();
        }
        encoder.encode(&flows[0].view(), &env(), &mut out);
        assert_eq!(announced(&read(&out)), [0], "a new session has them again");
    }
}

#[test]
fn templates_come_again_by_time_ticked_or_not() {
    for (name, ticks) in [(V9, true), (IPFIX, true), (V9, false), (IPFIX, false)] {
        let options = Options { resend_messages: 0, resend_seconds: 3, min_flows: 1, ..options("%IN_PKTS %OUT_PKTS") };
        let (mut encoder, mut out, mut env) = (encoder(name, &options), Messages::default(), env());
        for _ in 0..7 {
            let flow = sample::flow(("192.0.2.1", 1), ("192.0.2.2", 2), 17, [1, 0]);
            encoder.encode(&flow.view(), &env, &mut out);
            env.now.0 += 1_000_000_000;
            if ticks {
                encoder.tick(&env, &mut out);
            }
        }
        assert_eq!(announced(&read(&out)), [0, 4, 8], "{name} {ticks}");
    }
}

#[test]
fn a_new_session_begins_anew() {
    for name in [V5, V9, IPFIX] {
        let options = Options { resend_messages: 0, resend_seconds: 0, ..options("%IN_PKTS %PROTOCOL") };
        let (mut encoder, mut out) = (encoder(name, &options), Messages::default());
        encoder.encode(&sample::v4().view(), &env(), &mut out);
        encoder.flush(&env(), &mut out);
        encoder.encode(&sample::v4().view(), &env(), &mut out);
        out.clear();
        encoder.restart();
        encoder.flush(&env(), &mut out);
        let messages = read(&out);
        assert_eq!(messages[0].sequence, 0);
        assert_eq!(messages[0].templates > 0, name != V5);
        assert_eq!(messages.iter().map(|m| m.records.len()).sum::<usize>(), 2, "{name}");
    }
}

#[test]
fn a_record_waits_no_longer_than_it_may() {
    for name in [V5, V9, IPFIX] {
        let options = Options { queue_seconds: 2, resend_seconds: 0, ..options("%IN_PKTS %OUT_PKTS") };
        let (mut encoder, mut out, mut env) = (encoder(name, &options), Messages::default(), env());
        encoder.encode(&sample::v4().view(), &env, &mut out);
        env.now.0 += 1_999_999_999;
        encoder.tick(&env, &mut out);
        assert_eq!(out.records(), 0);
        env.now.0 += 1;
        encoder.tick(&env, &mut out);
        assert_eq!((out.records(), encoder.counters().pending), (encoder.counters().records, 0), "{name}");
    }
}

#[test]
fn biflows_tell_both_directions() {
    let biflow = Options { biflow: true, ..options("%IN_BYTES %OUT_BYTES %OUT_PKTS %SRC_TOS %DST_TOS %TCP_FLAGS") };
    let flow = sample::flow(("192.0.2.1", 1), ("192.0.2.2", 2), 6, [3, 2]);
    let records = records(IPFIX, &biflow, &flow, &env());
    let [record] = &records[..] else { panic!("{records:?}") };
    assert_eq!((record.number(0, 1), record.number(REVERSE, 1), record.number(REVERSE, 2)), (1500, 2000, 2));
    assert_eq!((record.number(0, 5), record.number(REVERSE, 5)), (0x28, 0));
    assert_eq!((record.number(0, 6), record.number(REVERSE, 6)), (0x1b, 0x1b));
    // Without it, and without an element of the reverse direction, a record a direction.
    for biflow in [Options { biflow: false, ..biflow.clone() }, Options { ..options("%IN_BYTES %TCP_FLAGS") }] {
        let records = super::tests::records(IPFIX, &biflow, &flow, &env());
        assert_eq!(records.iter().map(|r| r.number(0, 1)).collect::<Vec<_>>(), [1500, 2000]);
        assert!(records.iter().all(|r| r.fields.keys().all(|(pen, _)| *pen != REVERSE)));
    }
}

#[test]
fn each_family_has_its_elements_and_icmp_its_port() {
    let template =
        options("%IPV4_SRC_ADDR %IPV6_SRC_ADDR %IPV6_DST_ADDR %L4_SRC_PORT %L4_DST_PORT %ICMP_TYPE %IN_PKTS");
    let v6 = &records(IPFIX, &template, &sample::v6(), &env())[0];
    assert_eq!((v6.template, v6.number(0, 7), v6.number(0, 11)), (258, 40000, 53));
    assert_eq!(v6.fields[&(0, 27)], octets("20010db8 00000000 00000000 00000001"));
    assert!(!v6.fields.contains_key(&(0, 8)) && v6.fields.contains_key(&(0, 139)) && !v6.fields.contains_key(&(0, 32)));
    let mut ping = sample::flow(("192.0.2.1", 0x0800), ("192.0.2.2", 0x0800), 1, [1, 1]);
    ping.0.icmp = 0x0800;
    for name in [V5, V9, IPFIX] {
        let all = records(name, &template, &ping, &env());
        let ports: Vec<_> = all.iter().map(|r| (r.number(0, 7), r.number(0, 11))).collect();
        assert_eq!(ports, [(0, 0x0800), (0, 0)], "{name}: a request, and its reply of type 0");
    }
}

/// IPFIX, but that the name of the interface goes with a length of its own: what has one is not filled yet.
struct Loose;

impl Protocol for Loose {
    const HEADER: usize = Ipfix::HEADER;
    const TEMPLATE_SET: u16 = Ipfix::TEMPLATE_SET;
    const OPTIONS_SET: u16 = Ipfix::OPTIONS_SET;
    const PADDED: bool = Ipfix::PADDED;
    const ABOUT: &'static [About] = Ipfix::ABOUT;

    fn field(element: &'static Element, row: Option<&Row>, version: u8, biflow: bool) -> Option<(Specifier, Kind)> {
        let (specifier, kind) = Ipfix::field(element, row, version, biflow)?;
        if !element.is_same_as(&table::INTERFACE_NAME) {
            return Some((specifier, kind));
        }
        Some((Specifier { length: 65535, ..specifier }, Kind::Text(8)))
    }

    fn source(element: &Element, options: &Options) -> Option<Source> {
        Ipfix::source(element, options)
    }

    fn write_specifier(specifier: &Specifier, out: &mut Vec<u8>) {
        Ipfix::write_specifier(specifier, out);
    }

    fn write_options_head(id: u16, scopes: usize, fields: usize, out: &mut Vec<u8>) {
        Ipfix::write_options_head(id, scopes, fields, out);
    }

    fn write_header(message: &mut [u8], header: &Header<'_>) {
        Ipfix::write_header(message, header);
    }

    fn advance(tally: Tally) -> u32 {
        Ipfix::advance(tally)
    }
}

#[test]
fn texts_take_their_own_length() {
    let options = Options { max_message: 1001, ..options("%INTERFACE_NAME %IN_PKTS %OUT_PKTS") };
    for length in [0, 1, 254, 255, 256, 900, 970, 971, 5000, 70_000] {
        let mut encoder = Session::<Loose>::new(&options).expect("encoder");
        let (mut out, mut env) = (Messages::default(), env());
        for n in 0..20 {
            env.interface_name = "x".repeat(if n % 3 == 0 { 3 } else { length });
            encoder.encode(&sample::v4().view(), &env, &mut out);
        }
        encoder.flush(&env, &mut out);
        let records: Vec<_> = read(&out).into_iter().flat_map(|message| message.records).collect();
        assert_eq!((records.len(), encoder.counters().records), (40, 40));
        assert!(out.iter().all(|(bytes, _)| bytes.len() <= 1001), "{length}");
        for (n, record) in records.iter().enumerate() {
            // A message has 16 + 4 bytes of its own, a record 8 and 3 of the text's length.
            let whole = if n / 2 % 3 == 0 { 3 } else { length };
            let told = record.fields[&(0, 82)].len();
            assert!(told == whole || whole > 970 && told == 970, "{told} of {whole}");
            assert_eq!(record.number(0, 2), if n % 2 == 0 { 3 } else { 2 });
        }
    }
}

#[test]
fn an_interface_name_is_whole_in_ipfix_and_the_sampling_is_the_same_everywhere() {
    let env = Env { interface_name: "enp0s31f6.100".to_owned(), ..env() };
    let options = options("%INTERFACE_NAME %SAMPLING_INTERVAL %SAMPLING_ALGORITHM");
    for (name, text) in [(V9, &b"enp0s31f"[..]), (IPFIX, b"enp0s31f6.100")] {
        for sample in [1, 10] {
            let record = &records(name, &options, &sample::v4(), &Env { sample, ..env.clone() })[0];
            assert_eq!(record.fields[&(0, 82)], text, "{name}");
            assert_eq!((record.number(0, 34), record.number(0, 35)), (1, 1), "{name}");
        }
    }
    for sample in [1, 10] {
        let out = encode("json", &options, &[sample::v4()], &Env { sample, ..env.clone() });
        let text = String::from_utf8_lossy(out.bytes()).into_owned();
        assert!(text.contains("\"SAMPLING_INTERVAL\":1,\"SAMPLING_ALGORITHM\":1}"), "{text}");
    }
}

#[test]
fn texts_of_fixed_length_are_padded_or_cut() {
    let env = Env { interface_name: "eth0é12345".to_owned(), ..env() };
    for name in [V9, IPFIX] {
        let record = &records(name, &options("%INTERFACE_NAME %PROTOCOL_MAP"), &sample::v4(), &env)[0];
        assert_eq!(record.fields[&(0, 82)], if name == V9 { "eth0é12" } else { "eth0é12345" }.as_bytes());
        let map = record.fields.iter().find(|(key, _)| **key != (0, 82)).expect("protocol").1;
        assert_eq!(map[..], *b"TCP\0\0\0\0\0\0\0\0\0\0\0\0\0");
    }
}

#[test]
fn settings_that_cannot_work_are_told() {
    assert!(netflow5(&Options { max_message: 71, ..Options::default() }).is_err());
    for start in [|o: &Options| netflow9(o).map(drop), |o: &Options| ipfix(o).map(drop)] {
        let good = options("%IN_PKTS");
        assert!(start(&good).is_ok());
        assert!(start(&Options { first_template_id: 255, ..good.clone() }).is_err());
        assert!(start(&Options { first_template_id: 65_535, ..good.clone() }).is_err());
        assert!(start(&Options { max_message: 40, ..good.clone() }).is_err());
        assert!(start(&Options { template: Template::from_iter([]), ..good }).is_err());
    }
}
