//! Which worker takes a packet: a program the kernel runs on each (`PACKET_FANOUT_CBPF`).
//!
//! By both addresses of the outermost IP header and nothing else, the same for both directions. So a flow never has two
//! workers, whatever it is: fragments, which have no ports, stay with whole packets, and a tunnel stays one flow. The
//! kernel's own hash (`PACKET_FANOUT_HASH`) looks into GRE and IP-in-IP and sees no ports of fragments; it splits both.
//! The price: all traffic between two hosts is on one worker, as is all that is neither IP (behind two VLAN tags at
//! most, or PPPoE) nor read here.

use super::filter::Instruction;

/// Negative offsets, by which the kernel means its own: the network header, and what it knows of the packet.
const NET: u32 = (-0x10_0000_i32) as u32;
const PROTOCOL: u32 = (-0x1000_i32) as u32;

const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const EQUALS: u16 = 0x15;
const TO_X: u16 = 0x07;
const XOR_X: u16 = 0xac;
const MULTIPLY: u16 = 0x24;
const SHIFT_RIGHT: u16 = 0x74;
const RETURN_A: u16 = 0x16;
const RETURN_K: u16 = 0x06;

const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;

/// The program.
pub fn program() -> Vec<Instruction> {
    let mut program = vec![step(LOAD_WORD, PROTOCOL)];
    // What the network header is, how far behind it the next protocol's number stands, and the header that names.
    for (outer, number, header, inner) in
        [(0x8100, 2, 4, [IPV4, IPV6]), (0x88a8, 2, 4, [IPV4, IPV6]), (0x8864, 6, 8, [0x0021, 0x0057])]
    {
        let mut tagged = vec![step(LOAD_HALF, NET + number)];
        tagged.extend(unless(inner[0], addresses_v4(header)));
        tagged.extend(unless(inner[1], addresses_v6(header)));
        tagged.push(step(RETURN_K, 0));
        program.extend(unless(outer, tagged));
    }
    program.extend(unless(IPV4, addresses_v4(0)));
    program.extend(unless(IPV6, addresses_v6(0)));
    program.push(step(RETURN_K, 0));
    program
}

fn step(code: u16, k: u32) -> Instruction {
    Instruction { code, jump_true: 0, jump_false: 0, k }
}

/// `body` when the accumulator is `value`, else what follows. `body` is under 256 steps and ends with a return.
fn unless(value: u32, body: Vec<Instruction>) -> impl Iterator<Item = Instruction> {
    let jump_false = u8::try_from(body.len()).unwrap_or(u8::MAX);
    core::iter::once(Instruction { code: EQUALS, jump_true: 0, jump_false, k: value }).chain(body)
}

fn addresses_v4(header: u32) -> Vec<Instruction> {
    hashed(&[12, 16].map(|at| NET + header + at))
}

fn addresses_v6(header: u32) -> Vec<Instruction> {
    hashed(&[8, 12, 16, 20, 24, 28, 32, 36].map(|at| NET + header + at))
}

/// Returns a hash of the words at these offsets, in whatever order.
fn hashed(words: &[u32]) -> Vec<Instruction> {
    let mut steps = Vec::new();
    for (i, &word) in words.iter().enumerate() {
        if i > 0 {
            steps.push(step(TO_X, 0));
        }
        steps.push(step(LOAD_WORD, word));
        if i > 0 {
            steps.push(step(XOR_X, 0));
        }
    }
    // Multiplicative hashing: the high bits depend on all others.
    steps.extend([step(MULTIPLY, 0x9e37_79b1), step(SHIFT_RIGHT, 16), step(RETURN_A, 0)]);
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would do, for a packet whose network header is `packet`.
    fn run(protocol: u32, packet: &[u8]) -> u32 {
        let program = program();
        let (mut a, mut x, mut at) = (0u32, 0u32, 0);
        let load = |k: u32, len: usize| {
            let from = k.wrapping_sub(NET) as usize;
            packet.get(from..from + len).map(|bytes| bytes.iter().fold(0u32, |n, &b| n << 8 | u32::from(b)))
        };
        loop {
            let i = program[at];
            at += 1;
            match i.code {
                LOAD_WORD if i.k == PROTOCOL => a = protocol,
                LOAD_WORD | LOAD_HALF => match load(i.k, if i.code == LOAD_WORD { 4 } else { 2 }) {
                    Some(value) => a = value,
                    None => return 0,
                },
                EQUALS => at += usize::from(if a == i.k { i.jump_true } else { i.jump_false }),
                TO_X => x = a,
                XOR_X => a ^= x,
                MULTIPLY => a = a.wrapping_mul(i.k),
                SHIFT_RIGHT => a >>= i.k,
                RETURN_A => return a,
                RETURN_K => return i.k,
                other => panic!("code {other}"),
            }
        }
    }

    fn v4(src: u8, dst: u8) -> Vec<u8> {
        let mut header = vec![0x45; 20];
        header[12..16].copy_from_slice(&[192, 0, 2, src]);
        header[16..20].copy_from_slice(&[198, 51, 100, dst]);
        header
    }

    #[test]
    fn both_directions_have_one_worker_and_hosts_are_spread() {
        let mut back = v4(1, 2);
        back[12..20].rotate_left(4);
        assert_eq!(run(IPV4, &v4(1, 2)), run(IPV4, &back));
        let odd = (0..=255).filter(|&host| run(IPV4, &v4(host, 9)) % 2 == 1).count();
        assert!((96..160).contains(&odd), "{odd} of 256 on the second of two workers");
    }

    #[test]
    fn tags_and_pppoe_are_looked_behind() {
        let plain = run(IPV4, &v4(1, 2));
        assert_ne!(plain, 0);
        assert_eq!(run(0x8100, &[&[0, 7, 0x08, 0][..], &v4(1, 2)].concat()), plain);
        assert_eq!(run(0x8864, &[&[0x11, 0, 0, 1, 0, 22, 0, 0x21][..], &v4(1, 2)].concat()), plain);
        let mut v6 = vec![0x60; 40];
        v6[39] = 5;
        assert_eq!(run(0x88a8, &[&[0, 7, 0x86, 0xdd][..], &v6].concat()), run(IPV6, &v6));
    }

    #[test]
    fn what_is_not_ip_or_too_short_goes_to_the_first() {
        assert_eq!((run(0x0806, &[0; 28]), run(IPV4, &[0x45; 15])), (0, 0));
    }
}
