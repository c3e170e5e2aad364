//! One datagram. What the header check passes, the collector takes, and reads in full where the check is as strict as it;
//! the sets of templates alone, behind the same header, pass again.
#![no_main]

use flowsonde_engine::decode::Collector;
use flowsonde_engine::decode::collector::Config;
use flowsonde_engine::decode::records::{Receive, Set, Taken};
use flowsonde_wire::Nanos;
use flowsonde_wire::export::check::{Format, check, template_sets};
use flowsonde_wire::export::{Datagram, Transport};
use libfuzzer_sys::fuzz_target;

struct Nobody;

impl Receive for Nobody {
    fn flows(&mut self, _: &Set<'_>) -> Taken {
        Taken { records: 0, rest: 0 }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let sets = template_sets(bytes).map(<[u8]>::len).sum::<usize>();
    assert!(sets <= bytes.len());
    let Ok(checked) = check(bytes) else { return };
    assert_eq!(checked.templates, sets > 0);
    assert!(checked.templates || checked.data);
    let mut collector = Collector::new(Config::default());
    let from = ([192, 0, 2, 1], 2055).into();
    let message = Datagram { time: Nanos(1), transport: Transport::Udp, from, to: 2055, local: None, bytes };
    assert!(collector.message(&message, &mut Nobody).is_ok());
    // NetFlow v9 may have zeros behind it, sFlow records that are too short for what they are.
    if matches!(checked.format, Format::NetFlow5 | Format::NetFlow7 | Format::Ipfix) {
        assert!(collector.is_sound());
    }
    if checked.templates {
        let header = if checked.format == Format::Ipfix { 16 } else { 20 };
        let mut kept = bytes[..header].to_vec();
        template_sets(bytes).for_each(|set| kept.extend(set));
        let length = kept.len() as u16;
        match checked.format {
            Format::Ipfix => kept[2..4].copy_from_slice(&length.to_be_bytes()),
            _ => kept[2..4].copy_from_slice(&1u16.to_be_bytes()),
        }
        let again = check(&kept).expect("templates alone");
        assert!(again.templates && !again.data && again.domain == checked.domain);
    }
});
