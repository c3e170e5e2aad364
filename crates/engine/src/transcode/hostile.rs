//! Whatever comes, what leaves is whole: damaged messages go through every transcoder, and each message that comes out is
//! walked by the lengths it declares.

use std::collections::BTreeMap;

use super::by_hand::{ipfix, sent, set, v9, v9_record, v9_template, words};
use super::{Export, Export5, Home, Pass, TextLines, Transcode};
use crate::encode::{Ipfix, NetFlow9, Options};

/// Bytes of every record of a template, none where they differ; and whether it is one of options.
type Templates = BTreeMap<(u32, u16), (Vec<u16>, bool)>;

fn n16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Walks a message; tells how many flow records are in it.
fn walk(message: &[u8], templates: &mut Templates) -> u32 {
    let ipfix = n16(message, 0) == 10;
    assert!(!ipfix || usize::from(n16(message, 2)) == message.len());
    let (mut at, domain_at) = if ipfix { (16, 12) } else { (20, 16) };
    let domain = u32::from_be_bytes(message[domain_at..domain_at + 4].try_into().expect("four"));
    let mut records = 0;
    while at < message.len() {
        let (id, length) = (n16(message, at), usize::from(n16(message, at + 2)));
        let body = &message[at + 4..at + length];
        at += length;
        match id {
            0..=3 => {
                let options = id == if ipfix { 3 } else { 1 };
                let count = match (ipfix, options) {
                    (false, true) => (n16(body, 2) + n16(body, 4)) / 4,
                    _ => n16(body, 2),
                };
                let mut field = if options { 6 } else { 4 };
                let lengths = (0..count).map(|_| {
                    let (id, length) = (n16(body, field), n16(body, field + 2));
                    field += if ipfix && id > 0x7fff { 8 } else { 4 };
                    length
                });
                templates.insert((domain, n16(body, 0)), (lengths.collect(), options));
            }
            id => {
                let (lengths, options) = &templates[&(domain, id)];
                let rows = rows(body, lengths);
                records += if *options { 0 } else { rows };
            }
        }
    }
    records
}

fn rows(body: &[u8], lengths: &[u16]) -> u32 {
    let shortest: usize = lengths.iter().map(|&length| if length == 65_535 { 1 } else { usize::from(length) }).sum();
    let (mut at, mut rows) = (0, 0);
    while body.len() - at >= shortest {
        for &length in lengths {
            at += match (length, body.get(at)) {
                (65_535, Some(255)) => 3 + usize::from(n16(body, at + 1)),
                (65_535, short) => 1 + usize::from(short.copied().unwrap_or(0)),
                (fixed, _) => usize::from(fixed),
            };
        }
        rows += 1;
    }
    assert!(body.len() - at < 4, "a record is cut off");
    rows
}

fn messages() -> Vec<Vec<u8>> {
    let rate = [set(1, &words(&[400, 4, 8, 1, 4, 34, 4, 35, 1])), set(400, &[0, 0, 0, 5, 0, 0, 0, 100, 1, 0, 0, 0])];
    // Scopes of which v9 has none, of no bytes, and one of the record's two; texts of variable length.
    let vrf = [
        set(3, &words(&[301, 3, 1, 234, 4, 236, 65_535, 90, 8])),
        set(301, &[&[0, 0, 0, 7, 3][..], b"red", &[9; 8]].concat()),
    ];
    let odd = [set(1, &words(&[401, 8, 4, 1, 0, 2, 3, 82, 2])), set(401, b"\x01\x02\x03e0\x01\x02\x04e1\0\0")];
    let flows = set(300, &(0..20).flat_map(v9_record).collect::<Vec<_>>());
    let mut fields = words(&[300, 6, 82, 65_535, 27, 16, 2, 65_535, 60, 1, 1, 8, 0x8005, 2]);
    fields.extend(99u32.to_be_bytes());
    let six = [&[3, b'a', b'b', b'c'][..], &[0x20; 16], &[2, 1, 0, 6, 0, 0, 0, 0, 0, 0, 9, 9, 0xab, 0xcd]].concat();
    let mut v5 = vec![0, 5, 0, 2];
    v5.resize(24 + 2 * 48, 7);
    vec![
        v9(10_000, 5, &[rate.concat(), odd.concat(), v9_template(), flows.clone()]),
        ipfix(6, &vrf),
        ipfix(6, &[set(2, &fields), set(300, &six.repeat(9))]),
        v5,
        v9(11_000, 5, &[flows]),
        ipfix(6, &[set(300, &six.repeat(20))]),
    ]
}

#[test]
fn damaged_messages_leave_whole() {
    let home = Home::at([127, 0, 0, 1]);
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut below = |limit: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 16) as usize % limit
    };
    for round in 0..1500 {
        let mut messages = messages();
        // The first round is sound.
        for _ in 0..round.min(1 + below(12)) {
            let of = below(messages.len());
            // The version stays, so that all of them are read.
            let at = 2 + below(messages[of].len() - 2);
            messages[of][at] = if below(2) == 0 { below(256) as u8 } else { messages[of][at] ^ 1 << below(8) };
        }
        let options = Options { max_message: 300 + below(1200), min_flows: below(8) as u32, ..Options::default() };
        let mut transcoders: [Box<dyn Transcode>; 6] = [
            Box::new(Pass::<Ipfix>::new(&options, false)),
            Box::new(Pass::<NetFlow9>::new(&options, false)),
            Box::new(Export::<Ipfix>::new(&options, home).expect("sound")),
            Box::new(Export::<NetFlow9>::new(&options, home).expect("sound")),
            Box::new(Export5::new(&options, home).expect("sound")),
            Box::new(TextLines::new(options.template.clone(), '|', home)),
        ];
        for (which, transcoder) in transcoders.iter_mut().enumerate() {
            let out = sent(&mut **transcoder, &messages);
            let mut templates = Templates::new();
            for (message, records) in out.iter() {
                let walked = match which {
                    4 => (message.len() as u32 - 24) / 48,
                    5 => 1,
                    _ => walk(message, &mut templates),
                };
                assert_eq!(walked, records, "{which} of round {round}");
            }
            if round == 0 {
                let lost = transcoder.lost();
                assert_eq!(out.records() + lost.v5_ipv6 + lost.not_in_template, 20 + 9 + 2 + 20 + 20, "{which}");
            }
        }
    }
}
