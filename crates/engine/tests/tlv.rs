//! TLV beside nDPI's serializer, which ntopng reads by: `tlv.txt` has what the library made, byte for byte.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that panics has failed")]

use flowsonde_elements::{Element, Kind, table};
use flowsonde_engine::transcode::{Emit, Name, Tlv};

const VECTORS: &str = include_str!("tlv.txt");

/// A name of any spelling, as an element's.
fn named(text: &str) -> Name {
    match text.parse() {
        Ok(id) => Name::Number { pen: 0, id },
        Err(_) => {
            let name = Box::leak(text.to_owned().into_boxed_str());
            Name::Element(Box::leak(Box::new(Element { name, ..table::L7_INFO.clone() })))
        }
    }
}

fn plain(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        out.push(u8::from_str_radix(&part[..2], 16).unwrap());
        out.extend_from_slice(&part.as_bytes()[2..]);
    }
    out
}

fn written(items: &str) -> String {
    let mut out = Vec::new();
    let mut tlv = Tlv { out: &mut out };
    for item in items.split(' ').filter(|&item| item != "-") {
        let Some((key, value)) = item.split_once('=') else {
            assert_eq!(item, ".");
            tlv.end();
            continue;
        };
        let name = named(key);
        let key = Tlv::key(&name, Kind::U64, matches!(name, Name::Element(_)));
        let (sort, value) = value.split_at(1);
        match sort {
            "u" => tlv.number(&key, value.parse().unwrap()),
            "i" => tlv.signed(&key, value.parse().unwrap()),
            "f" => tlv.float(&key, value.parse().unwrap()),
            "b" => tlv.boolean(&key, value == "1"),
            "t" => tlv.text(&key, &plain(value)),
            _ => panic!("{item}"),
        }
    }
    out.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_vector_is_written_as_the_library_writes_it() {
    let (mut same, mut other, mut never) = (0, 0, 0);
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let cells: Vec<&str> = line.split(" | ").collect();
        match cells[..] {
            [name, items, bytes] => {
                assert_eq!(written(items), bytes.trim_matches('-'), "{name}: {items}");
                same += 1;
            }
            [_, _, _, "-", _] => never += 1,
            [name, items, bytes, ours, _] => {
                assert_ne!(bytes, ours, "{name}");
                assert_eq!(written(items), ours, "{name}: {items}");
                other += 1;
            }
            _ => panic!("{line}"),
        }
    }
    assert_eq!((same, other, never), (64, 8, 10));
}

/// An element's own key is its number, and its name where that is asked for.
#[test]
fn an_element_is_told_by_number() {
    let key = |labels| {
        let mut out = Vec::new();
        Tlv { out: &mut out }.number(&Tlv::key(&Name::Element(&table::L7_PROTO), Kind::U16, labels), 91);
        out
    };
    assert_eq!(key(false), [0x32, 0xe0, 0xf6, 91]);
    assert_eq!(key(true), [&[0xb2, 0, 8][..], b"L7_PROTO", &[91]].concat());
}
