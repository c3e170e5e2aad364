//! The `-f` filter: tcpdump's language, compiled by libpcap, run here or given to the kernel.
//!
//! The programs are classic BPF ("The BSD Packet Filter", McCanne and Jacobson 1993): an accumulator, an index register,
//! 16 words of memory, and jumps that only go forward, so every program ends. They are run here rather than by libpcap's
//! binding because that gives the captured length for the length on the wire, and `greater 1000` would turn away what
//! the snaplen has shortened.

use flowsonde_wire::{Frame, LinkType};

use super::Error;

/// One instruction, as `struct sock_filter` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// Instructions to jump over when true.
    pub jump_true: u8,
    /// Instructions to jump over when false.
    pub jump_false: u8,
    /// Operand.
    pub k: u32,
}

/// A compiled expression, for one link type.
#[derive(Clone, Debug)]
pub struct Filter {
    program: Vec<Instruction>,
}

impl Filter {
    /// Compiles `expression` for frames of type `link`.
    pub fn compile(expression: &str, link: LinkType) -> Result<Filter, Error> {
        Self::try_compile(expression, link).map_err(|said| {
            Error(format!(
                "-f '{expression}': not a filter for link type {}: {said}; see pcap-filter(7) for the syntax",
                link.0
            ))
        })
    }

    /// Whether `expression` is one for any of the link types packets may come with; if not, what libpcap says of it for
    /// Ethernet.
    pub fn check(expression: &str) -> Result<(), String> {
        let Err(said) = Self::try_compile(expression, LinkType::ETHERNET) else { return Ok(()) };
        let others = [LinkType::RAW, LinkType::LINUX_SLL, LinkType::PPP];
        let fits = others.into_iter().any(|link| Self::try_compile(expression, link).is_ok());
        if fits { Ok(()) } else { Err(said) }
    }

    fn try_compile(expression: &str, link: LinkType) -> Result<Filter, String> {
        let said = |error: pcap::Error| match error {
            pcap::Error::PcapError(said) => said,
            other => other.to_string(),
        };
        let compiled =
            pcap::Capture::dead(host_type(link)).and_then(|dead| dead.compile(expression, true)).map_err(said)?;
        let program = compiled.get_instructions().iter().map(Instruction::of);
        let program = program.collect::<Option<_>>().ok_or("libpcap gave an unknown instruction")?;
        Ok(Filter { program })
    }

    /// A filter that takes everything.
    pub fn all() -> Filter {
        Filter { program: vec![Instruction { code: RETURN_K, jump_true: 0, jump_false: 0, k: u32::MAX }] }
    }

    /// A filter that takes nothing.
    pub fn none() -> Filter {
        Filter { program: vec![Instruction { code: RETURN_K, jump_true: 0, jump_false: 0, k: 0 }] }
    }

    /// The same filter for the kernel, which keeps as many bytes of a packet as the program returns.
    pub fn with_snaplen(&self, snaplen: u32) -> Filter {
        let mut program = self.program.clone();
        for instruction in &mut program {
            if instruction.code == RETURN_K && instruction.k != 0 {
                instruction.k = snaplen;
            }
        }
        Filter { program }
    }

    /// What it does.
    pub fn program(&self) -> &[Instruction] {
        &self.program
    }

    /// True when the expression holds for `frame`.
    pub fn matches(&self, frame: &Frame<'_>) -> bool {
        self.run(frame).unwrap_or(0) != 0
    }

    /// What the program returns; `None` when it looks past the end of the packet, which is a no.
    fn run(&self, frame: &Frame<'_>) -> Option<u32> {
        let bytes = frame.bytes;
        let (mut a, mut x, mut memory) = (0_u32, 0_u32, [0_u32; 16]);
        let mut at = 0_usize;
        loop {
            let Instruction { code, jump_true, jump_false, k } = *self.program.get(at)?;
            at += 1;
            let jump = |yes: bool| usize::from(if yes { jump_true } else { jump_false });
            // In each row: class, then size and mode or operation, then source, as <linux/bpf_common.h> has them.
            match code {
                0x20 => a = word(bytes, k)?,
                0x28 => a = half(bytes, k)?,
                0x30 => a = byte(bytes, k)?,
                0x40 => a = word(bytes, x.checked_add(k)?)?,
                0x48 => a = half(bytes, x.checked_add(k)?)?,
                0x50 => a = byte(bytes, x.checked_add(k)?)?,
                0x80 => a = frame.wire_len,
                0x81 => x = frame.wire_len,
                0xb1 => x = (byte(bytes, k)? & 0xf) * 4,
                0x00 => a = k,
                0x01 => x = k,
                0x60 => a = *memory.get(k as usize)?,
                0x61 => x = *memory.get(k as usize)?,
                0x02 => *memory.get_mut(k as usize)? = a,
                0x03 => *memory.get_mut(k as usize)? = x,
                0x05 => at = at.checked_add(k as usize)?,
                0x15 => at += jump(a == k),
                0x1d => at += jump(a == x),
                0x25 => at += jump(a > k),
                0x2d => at += jump(a > x),
                0x35 => at += jump(a >= k),
                0x3d => at += jump(a >= x),
                0x45 => at += jump(a & k != 0),
                0x4d => at += jump(a & x != 0),
                0x04 => a = a.wrapping_add(k),
                0x0c => a = a.wrapping_add(x),
                0x14 => a = a.wrapping_sub(k),
                0x1c => a = a.wrapping_sub(x),
                0x24 => a = a.wrapping_mul(k),
                0x2c => a = a.wrapping_mul(x),
                0x34 => a = a.checked_div(k)?,
                0x3c => a = a.checked_div(x)?,
                0x94 => a = a.checked_rem(k)?,
                0x9c => a = a.checked_rem(x)?,
                0x44 => a |= k,
                0x4c => a |= x,
                0x54 => a &= k,
                0x5c => a &= x,
                0xa4 => a ^= k,
                0xac => a ^= x,
                0x64 => a = a.checked_shl(k).unwrap_or(0),
                0x6c => a = a.checked_shl(x).unwrap_or(0),
                0x74 => a = a.checked_shr(k).unwrap_or(0),
                0x7c => a = a.checked_shr(x).unwrap_or(0),
                0x84 => a = a.wrapping_neg(),
                0x07 => x = a,
                0x87 => a = x,
                RETURN_K => return Some(k),
                0x16 => return Some(a),
                _ => return None,
            }
        }
    }
}

const RETURN_K: u16 = 0x06;

#[inline]
fn word(bytes: &[u8], at: u32) -> Option<u32> {
    bytes.get(at as usize..)?.first_chunk().map(|chunk| u32::from_be_bytes(*chunk))
}

#[inline]
fn half(bytes: &[u8], at: u32) -> Option<u32> {
    bytes.get(at as usize..)?.first_chunk().map(|chunk| u16::from_be_bytes(*chunk).into())
}

#[inline]
fn byte(bytes: &[u8], at: u32) -> Option<u32> {
    bytes.get(at as usize).map(|byte| u32::from(*byte))
}

impl Instruction {
    /// The binding keeps the fields to itself and prints them: code, jumps, operand.
    fn of(printed: &pcap::BpfInstruction) -> Option<Instruction> {
        let text = printed.to_string();
        let mut fields = text.split(' ');
        Some(Instruction {
            code: fields.next()?.parse().ok()?,
            jump_true: fields.next()?.parse().ok()?,
            jump_false: fields.next()?.parse().ok()?,
            k: fields.next()?.parse().ok()?,
        })
    }
}

/// libpcap compiles for the host's `DLT_` number, which is the registry's but for a few.
fn host_type(link: LinkType) -> pcap::Linktype {
    match link {
        LinkType::RAW => pcap::Linktype(if cfg!(target_os = "openbsd") { 14 } else { 12 }),
        LinkType(number) => pcap::Linktype(i32::from(number)),
    }
}

/// One expression for the link types of one stream, each compiled when its first frame comes.
#[derive(Clone, Debug)]
pub struct Filters {
    expression: String,
    compiled: Vec<(LinkType, Filter)>,
}

impl Filters {
    /// Nothing is compiled yet.
    pub fn new(expression: &str) -> Self {
        Filters { expression: expression.to_owned(), compiled: Vec::new() }
    }

    /// Compiles for `link` now, to learn early whether the expression is one.
    pub fn prepare(&mut self, link: LinkType) -> Result<(), Error> {
        if self.compiled.iter().all(|(known, _)| *known != link) {
            self.compiled.push((link, Filter::compile(&self.expression, link)?));
        }
        Ok(())
    }

    /// True when the expression holds for `frame`.
    #[inline]
    pub fn matches(&mut self, frame: &Frame<'_>) -> Result<bool, Error> {
        if let Some((_, filter)) = self.compiled.iter().find(|(link, _)| *link == frame.link) {
            return Ok(filter.matches(frame));
        }
        self.prepare(frame.link)?;
        Ok(self.compiled.last().is_some_and(|(_, filter)| filter.matches(frame)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowsonde_wire::Nanos;

    /// Ethernet, IPv4 10.0.0.1 -> 10.0.0.2, UDP 53 -> 4000, 8 bytes of payload.
    const UDP: &[u8] = &[
        2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, // Ethernet
        0x45, 0, 0, 36, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4
        0, 53, 0x0f, 0xa0, 0, 16, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, // UDP
    ];

    fn frame(link: LinkType, bytes: &[u8], wire_len: u32) -> Frame<'_> {
        Frame { time: Nanos(0), link, wire_len, interface: 0, bytes }
    }

    #[test]
    fn agrees_with_libpcap() {
        let expressions = [
            "udp",
            "tcp",
            "port 53",
            "src port 53 and dst host 10.0.0.2",
            "src net 192.168.0.0/16 or udp[8:4] == 0x01020304",
            "udp[8] * 3 + 1 == 4 and udp[9] << 2 == 8",
            "ip[0] & 0xf != 5",
            "len - 14 == 36",
            "greater 50",
            "less 49",
            "ether src 02:00:00:00:00:02 and not broadcast",
            "udp[4:2] / 4 == 4 and udp[4:2] % 5 == 1",
            "udp[200] == 1",
            "ip6",
            "vlan",
        ];
        for expression in expressions {
            let ours = Filter::compile(expression, LinkType::ETHERNET).expect(expression);
            let theirs = pcap::Capture::dead(pcap::Linktype::ETHERNET).expect("dead");
            let theirs = theirs.compile(expression, true).expect(expression);
            for end in 0..=UDP.len() {
                let cut = &UDP[..end];
                let got = ours.matches(&frame(LinkType::ETHERNET, cut, end as u32));
                assert_eq!(got, theirs.filter(cut), "{expression} of {end} bytes");
            }
        }
    }

    #[test]
    fn length_is_the_one_on_the_wire() {
        let filter = Filter::compile("greater 1000", LinkType::ETHERNET).expect("compiles");
        assert!(filter.matches(&frame(LinkType::ETHERNET, UDP, 1_500)));
        assert!(!filter.matches(&frame(LinkType::ETHERNET, UDP, 999)));
    }

    #[test]
    fn each_link_type_has_its_own_program() {
        let mut filters = Filters::new("udp port 53");
        assert!(filters.matches(&frame(LinkType::ETHERNET, UDP, 50)).expect("compiles"));
        assert!(filters.matches(&frame(LinkType::RAW, &UDP[14..], 36)).expect("compiles"));
        assert!(!filters.matches(&frame(LinkType::RAW, UDP, 36)).expect("compiles"));
    }

    #[test]
    fn a_wrong_expression_is_told_with_its_flag() {
        let error = Filter::compile("prot 53", LinkType::ETHERNET).expect_err("is wrong").0;
        assert!(error.starts_with("-f 'prot 53': "), "{error}");
        assert!(error.contains("syntax error"), "{error}");
    }

    #[test]
    fn snaplen_is_what_an_accepting_program_returns() {
        let filter = Filter::compile("udp", LinkType::ETHERNET).expect("compiles").with_snaplen(96);
        assert_eq!(filter.run(&frame(LinkType::ETHERNET, UDP, 50)), Some(96));
        assert_eq!(Filter::all().with_snaplen(7).run(&frame(LinkType::ETHERNET, UDP, 50)), Some(7));
    }
}
