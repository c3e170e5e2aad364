//! Which worker's socket takes an exporter's datagram: a program the kernel runs on each (SO_ATTACH_REUSEPORT_CBPF,
//! socket(7)).
//!
//! It makes a mark of 32 bits of source address and port. Exporters that are listed by their mark go to the worker they
//! were given; all others to the lobby (see [`super::lobby`]), or, when the list is full, to the worker the mark itself
//! chooses. Two exporters with the same mark share a worker, which does no harm.
//!
//! ```text
//! mark    h = port;  for each word of the address: h = (h + word) * GOLDEN;  h ^= h >> 16       (mod 2^32)
//! ```

use std::net::{IpAddr, SocketAddr};

use crate::source::filter::Instruction;

/// Exporters that are listed. Beyond that there are so many that chance spreads them well: the standard deviation of a
/// worker's share of 64 is 6 %.
pub(super) const LISTED: usize = 64;

/// Negative offsets, by which the kernel means the network header.
const NET: u32 = (-0x10_0000_i32) as u32;
const GOLDEN: u32 = 0x9e37_79b1;

const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const LOAD_HALF_AT_X: u16 = 0x48;
const LOAD_WORD: u16 = 0x20;
const LOAD_ZERO: u16 = 0x00;
const X_IS_HEADER_LENGTH: u16 = 0xb1;
const TO_X: u16 = 0x07;
const ADD_X: u16 = 0x0c;
const XOR_X: u16 = 0xac;
const MULTIPLY: u16 = 0x24;
const MODULO: u16 = 0x94;
const ADD: u16 = 0x04;
const SHIFT_RIGHT: u16 = 0x74;
const EQUALS: u16 = 0x15;
const RETURN_A: u16 = 0x16;
const RETURN_K: u16 = 0x06;

/// The mark of an exporter, port left out when `by_address`.
pub(super) fn mark(from: SocketAddr, by_address: bool) -> u32 {
    let port = if by_address { 0 } else { u32::from(from.port()) };
    let fold = |h: u32, word: u32| h.wrapping_add(word).wrapping_mul(GOLDEN);
    let h = match from.ip() {
        IpAddr::V4(address) => fold(port, address.to_bits()),
        IpAddr::V6(address) => (0..4).rev().fold(port, |h, word| fold(h, (address.to_bits() >> (word * 32)) as u32)),
    };
    h ^ h >> 16
}

/// The worker, of `workers`, that a mark chooses.
pub(super) fn chosen(mark: u32, workers: usize) -> usize {
    mark as usize % workers.max(1)
}

/// The program: the number of a socket in the group, where 0 is the lobby and worker `n` is `n + 1`.
pub(super) fn program(listed: &[(u32, usize)], workers: usize, by_address: bool) -> Vec<Instruction> {
    let mut program = vec![step(LOAD_BYTE, NET), step(SHIFT_RIGHT, 4)];
    let v4 = marked(&[12], !by_address, Some(()));
    let v6 = marked(&[8, 12, 16, 20], !by_address, None);
    program.push(Instruction { code: EQUALS, jump_true: 0, jump_false: (v4.len() + 1) as u8, k: 4 });
    program.extend(v4);
    // Over the part for IPv6.
    program.push(step(0x05, v6.len() as u32));
    program.extend(v6);
    program.extend([step(TO_X, 0), step(SHIFT_RIGHT, 16), step(XOR_X, 0)]);
    for &(mark, worker) in listed.iter().take(LISTED) {
        program.push(Instruction { code: EQUALS, jump_true: 0, jump_false: 1, k: mark });
        program.push(step(RETURN_K, worker as u32 + 1));
    }
    if listed.len() < LISTED {
        program.push(step(RETURN_K, 0));
    } else {
        program.extend([step(MODULO, workers.max(1) as u32), step(ADD, 1), step(RETURN_A, 0)]);
    }
    program
}

/// Leaves h, unfinished, in the accumulator. The header's length is told by an IPv4 header only; an IPv6 datagram with
/// extension headers is marked by what stands where the port would, the same for all of an exporter's.
fn marked(words: &[u32], port: bool, v4: Option<()>) -> Vec<Instruction> {
    let mut steps = match (port, v4) {
        (false, _) => vec![step(LOAD_ZERO, 0)],
        (true, Some(())) => vec![step(X_IS_HEADER_LENGTH, NET), step(LOAD_HALF_AT_X, NET)],
        (true, None) => vec![step(LOAD_HALF, NET + 40)],
    };
    for &word in words {
        steps.extend([step(TO_X, 0), step(LOAD_WORD, NET + word), step(ADD_X, 0), step(MULTIPLY, GOLDEN)]);
    }
    steps
}

fn step(code: u16, k: u32) -> Instruction {
    Instruction { code, jump_true: 0, jump_false: 0, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_spread_exporters_by_address_and_by_port() {
        let of = |host: u8, port: u16| SocketAddr::new(IpAddr::from([192, 0, 2, host]), port);
        let odd = (0..=255).filter(|&host| chosen(mark(of(host, 2055), false), 2) == 1).count();
        assert!((96..160).contains(&odd), "{odd} of 256 hosts on the second of two workers");
        let odd = (0..256).filter(|&n| chosen(mark(of(1, 40_000 + n), false), 2) == 1).count();
        assert!((96..160).contains(&odd), "{odd} of 256 ports on the second of two workers");
        assert_eq!(mark(of(1, 1), true), mark(of(1, 2), true));
    }

    #[test]
    fn the_program_has_a_bounded_length() {
        let listed: Vec<_> = (0..1000).map(|n| (n, 0)).collect();
        assert!(program(&listed, 4, false).len() < 200);
    }
}
