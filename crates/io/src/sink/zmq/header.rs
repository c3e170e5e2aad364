//! The first frame of a message to ntopng: topic, version, numbers.
//!
//! Four layouts are about; a receiver tells them by the frame's length first, then by the version byte. All are C structs
//! with natural alignment. "be" is big-endian, "host" the host's order.
//!
//! ```text
//! V0, 40 bytes   0 topic[32]   32 version u32 host   36 size u32 host
//! V1, 24 bytes   0 topic[16]   16 version u8   17 source u8   18 size u16 be   20 id u32 be
//! V2, 28 bytes   0 topic[16]   16 version u8   17 0           18 size u16 be   20 id u32 be     24 source u32 host
//! V4, 36 bytes   0 topic[16]   16 version u8   17 flags u8    18 0, 0          20 uncompressed size u32 little-endian
//!                24 compressed size u32 little-endian         28 id u32 be     32 source u32 host
//! ```
//!
//! The size of V1 and V2 is not read by receivers, and cannot tell more than 65,535. ntopng 6.2 makes room for the
//! *compressed* size when it inflates a V4 message (ntopng issue 9664), so that field says the uncompressed size as well,
//! which receivers with and without the fault accept.

/// What a message is about: the text that ntopng subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Flow records.
    Flow,
    /// What the probe is and did.
    Event,
    /// Interface counters of sFlow.
    Counter,
    /// Names of elements.
    Template,
    /// Names of an element's values.
    Option,
    /// Names of an exporter's interfaces.
    SnmpIfaces,
    /// The probe has started.
    Hello,
}

impl Topic {
    /// All of them, each at the place of its number.
    pub const ALL: [Topic; 7] =
        [Topic::Flow, Topic::Event, Topic::Counter, Topic::Template, Topic::Option, Topic::SnmpIfaces, Topic::Hello];

    /// The text.
    pub fn name(self) -> &'static str {
        match self {
            Topic::Flow => "flow",
            Topic::Event => "event",
            Topic::Counter => "counter",
            Topic::Template => "template",
            Topic::Option => "option",
            Topic::SnmpIfaces => "snmp-ifaces",
            Topic::Hello => "hello",
        }
    }

    /// The text with zeros behind it, as headers have it.
    pub(super) fn padded(self) -> [u8; 16] {
        let mut padded = [0; 16];
        for (to, from) in padded.iter_mut().zip(self.name().bytes()) {
            *to = from;
        }
        padded
    }
}

/// Which layout (`--zmq-header`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header {
    /// Before there were message numbers.
    V0,
    /// What every ntopng since 3.8 reads; source numbers have 8 bits.
    #[default]
    V1,
    /// ntopng 5.4 and later.
    V2,
    /// ntopng 6.2 and later.
    V4,
}

/// How the payload is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// nDPI's binary format rather than JSON.
    pub(super) tlv: bool,
    pub(super) zlib: bool,
    /// Bytes before compression.
    pub(super) text: usize,
}

/// A header's bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    bytes: [u8; 40],
    length: usize,
}

const OLD: u8 = 1;
const JSON: u8 = 2;
const TLV: u8 = 3;
const CURRENT: u8 = 4;

const FLAG_TLV: u8 = 2;
const FLAG_ZLIB: u8 = 4;

impl Header {
    /// Whether a leading zero says that a payload is compressed, for want of a flag.
    pub(super) fn marks_by_zero(self) -> bool {
        self != Header::V4
    }

    /// The header of a payload that has `length` bytes.
    pub(super) fn frame(self, topic: Topic, form: Form, length: usize, id: u32, source: u32) -> Frame {
        let mut frame = Frame { bytes: [0; 40], length: 0 };
        frame.add(&topic.padded());
        let version = if form.tlv { TLV } else { JSON };
        let short = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        match self {
            Header::V0 => {
                let version = if form.tlv { TLV } else { OLD };
                frame.add(&[0; 16]);
                frame.add(&u32::from(version).to_ne_bytes());
                frame.add(&long(length).to_ne_bytes());
            }
            Header::V1 => {
                let [.., source] = source.to_be_bytes();
                frame.add(&[version, source]);
                frame.add(&short);
                frame.add(&id.to_be_bytes());
            }
            Header::V2 => {
                frame.add(&[version, 0]);
                frame.add(&short);
                frame.add(&id.to_be_bytes());
                frame.add(&source.to_ne_bytes());
            }
            Header::V4 => {
                let flags = if form.tlv { FLAG_TLV } else { 0 } | if form.zlib { FLAG_ZLIB } else { 0 };
                frame.add(&[CURRENT, flags, 0, 0]);
                frame.add(&long(form.text).to_le_bytes());
                frame.add(&long(form.text).to_le_bytes());
                frame.add(&id.to_be_bytes());
                frame.add(&source.to_ne_bytes());
            }
        }
        frame
    }
}

impl Frame {
    fn add(&mut self, bytes: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.length).zip(bytes) {
            *to = *from;
        }
        self.length += bytes.len();
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&self.bytes)
    }
}

fn long(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TLV_FORM: Form = Form { tlv: true, zlib: false, text: 0x1234 };
    const ZLIB_FORM: Form = Form { tlv: false, zlib: true, text: 0x0001_2345 };

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn layouts() {
        let source = 0x6900_00a5_u32.to_ne_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let host = |value: u32| value.to_ne_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let flow = "666c6f77 00000000 00000000 00000000";
        let event = "6576656e 74000000 00000000 00000000";
        let ifaces = "736e6d70 2d696661 63657300 00000000";
        for (header, topic, form, length, expected) in [
            (Header::V0, Topic::Flow, TLV_FORM, 0x1234, format!("{flow}{:032}{}{}", 0, host(3), host(0x1234))),
            (Header::V0, Topic::Event, ZLIB_FORM, 0x456, format!("{event}{:032}{}{}", 0, host(1), host(0x456))),
            (Header::V1, Topic::Flow, TLV_FORM, 0x1234, format!("{flow} 03 a5 1234 01020304")),
            (Header::V1, Topic::Event, ZLIB_FORM, 0x456, format!("{event} 02 a5 0456 01020304")),
            (Header::V1, Topic::SnmpIfaces, ZLIB_FORM, 0x1_0000, format!("{ifaces} 02 a5 ffff 01020304")),
            (Header::V2, Topic::Flow, TLV_FORM, 0x1234, format!("{flow} 03 00 1234 01020304 {source}")),
            (Header::V2, Topic::Event, ZLIB_FORM, 0x456, format!("{event} 02 00 0456 01020304 {source}")),
            (
                Header::V4,
                Topic::Flow,
                TLV_FORM,
                0x1234,
                format!("{flow} 04 02 0000 34120000 34120000 01020304 {source}"),
            ),
            (
                Header::V4,
                Topic::Event,
                ZLIB_FORM,
                0x456,
                format!("{event} 04 04 0000 45230100 45230100 01020304 {source}"),
            ),
        ] {
            let frame = header.frame(topic, form, length, 0x0102_0304, 0x6900_00a5);
            assert_eq!(frame.bytes(), hex(&expected), "{header:?} {topic:?}");
        }
        let lengths = [Header::V0, Header::V1, Header::V2, Header::V4]
            .map(|header| header.frame(Topic::Hello, TLV_FORM, 1, 1, 1).bytes().len());
        assert_eq!(lengths, [40, 24, 28, 36]);
    }

    #[test]
    fn topics_are_at_their_numbers() {
        for (number, topic) in Topic::ALL.into_iter().enumerate() {
            assert_eq!(topic as usize, number);
            assert!(topic.name().len() < 16);
        }
    }
}
