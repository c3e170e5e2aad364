//! Entropy of the payload, by direction: Shannon's, of how often each byte value occurs, in bits a byte.
//!
//! ```text
//! H = - sum (c / n) log2 (c / n) = log2 n - (sum c log2 c) / n       c: of one value, n: of all
//! ```
//!
//! It is taken over the payloads of the packets in the window (`bins.rs`), as far as they were captured.
//!
//! Most directions of most flows carry less than the counters take. Their bytes are kept as they come, and counted when the
//! flow ends, in counters that are always in the cache; who sends more gets counters of its own. Both come from pools, so
//! that a direction without payload, as in a scan, takes nothing.

use core::ops::AddAssign;

use crate::meter::slab::Slab;

/// Bytes that are kept as they are.
const FEW: usize = 256;
/// Bytes of a line of the cache.
const LINE: usize = 64;
/// Bits behind the point of a sum of `c log2 c`, which is below 2^31 for what [`super::bins::WINDOW`] packets carry.
const POINT: u32 = 32;
/// Counts below this have their `c log2 c` in a table.
const COMMON: usize = 1024;
/// Bits a byte from which bytes are taken for encrypted or random, where there are many of them: nDPI's limit.
const RANDOM: f64 = 7.312;
/// Fewer bytes say nothing of whether they are random.
const LEAST: u32 = 64;

/// Of one flow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entropy {
    bytes: [u32; 2],
    places: [Packed; 2],
    /// The entropy in thousandths of a bit, once the flow has ended.
    milli: [u16; 2],
}

impl Entropy {
    /// The entropy of what one direction sent, in thousandths of a bit; 0 when it sent nothing.
    pub fn milli(&self, direction: usize) -> u16 {
        self.milli[direction & 1]
    }

    /// Bytes it was taken over.
    pub fn bytes(&self, direction: usize) -> u32 {
        self.bytes[direction & 1]
    }

    /// True when both directions look random, as far as they say anything, and one does.
    pub fn looks_random(&self) -> bool {
        let mut telling = [0, 1].into_iter().filter(|&direction| self.bytes(direction) >= LEAST).peekable();
        telling.peek().is_some()
            && telling.all(|direction| {
                f64::from(self.milli(direction)) / 1000.0 >= RANDOM - lack(self.bytes(direction).into())
            })
    }
}

/// Bits that `n` random bytes lack to 8: about 255 / (2 n ln 2) (Miller 1955). Of fewer than 110 this is too many, and would
/// take a short text for random: they have the bits of `n` different values, less 2 / n for each of the `n (n - 1) / 512`
/// pairs that are equal.
fn lack(n: f64) -> f64 {
    (183.94 / n).min(8.0 - n.log2() + (n - 1.0) / 256.0)
}

/// Where the bytes of a direction are.
#[derive(Clone, Copy, Debug)]
enum Place {
    Nowhere,
    Kept(u32),
    Counted(u32),
    /// Counted, what no longer fits in 16 bits.
    Many(u32),
}

/// A [`Place`] in four bytes: which of them in the two highest bits.
#[derive(Clone, Copy, Debug, Default)]
struct Packed(u32);

impl Packed {
    #[inline(always)]
    fn get(self) -> Place {
        let at = self.0 & (u32::MAX >> 2);
        match self.0 >> 30 {
            0 => Place::Nowhere,
            1 => Place::Kept(at),
            2 => Place::Counted(at),
            _ => Place::Many(at),
        }
    }
}

impl From<Place> for Packed {
    #[inline(always)]
    fn from(place: Place) -> Packed {
        Packed(match place {
            Place::Nowhere => 0,
            Place::Kept(at) => 1 << 30 | at,
            Place::Counted(at) => 2 << 30 | at,
            Place::Many(at) => 3 << 30 | at,
        })
    }
}

#[derive(Debug)]
#[repr(align(64))]
struct Bytes([u8; FEW]);

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Counts<T>([T; 256]);

impl Default for Bytes {
    fn default() -> Self {
        Bytes([0; FEW])
    }
}

impl<T: From<u8> + Copy> Default for Counts<T> {
    fn default() -> Self {
        Counts([T::from(0); 256])
    }
}

impl<T: From<u8> + AddAssign> Counts<T> {
    #[inline]
    fn touch(&self) -> u64
    where
        T: Into<u64> + Copy,
    {
        self.0.iter().step_by(LINE / size_of::<T>()).fold(0, |read, &count| read ^ count.into())
    }

    #[inline(always)]
    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0[usize::from(byte)] += T::from(1);
        }
    }
}

/// Bytes and counters of all flows.
#[derive(Debug, Default)]
pub struct Pools {
    kept: Pool<Bytes>,
    counted: Pool<Counts<u16>>,
    many: Pool<Counts<u32>>,
    logs: Logs,
}

/// `c log2 c` of common counts, and what it grows by when one more comes to a count.
#[derive(Debug)]
struct Logs {
    sums: Box<[u64; COMMON]>,
    steps: Box<[u64; FEW]>,
}

impl Default for Logs {
    fn default() -> Self {
        let sums = Box::new(core::array::from_fn(|count| c_log_c(count as u32)));
        let steps = Box::new(core::array::from_fn(|count| c_log_c(count as u32 + 1) - c_log_c(count as u32)));
        Logs { sums, steps }
    }
}

impl Logs {
    /// The sum of all `c log2 c`.
    fn of<T: Into<u32> + Copy>(&self, counts: &Counts<T>) -> u64 {
        let of_one = |count: u32| self.sums.get(count as usize).copied().unwrap_or_else(|| c_log_c(count));
        // Two sums, neither of which waits for the other.
        let (pairs, _) = counts.0.as_chunks::<2>();
        let sums = pairs.iter().fold([0; 2], |sums, &[a, b]| [sums[0] + of_one(a.into()), sums[1] + of_one(b.into())]);
        sums[0] + sums[1]
    }

    /// The same of a few bytes, at most [`FEW`], that were not counted yet.
    fn of_few(&self, bytes: &[u8]) -> u64 {
        let mut counts = [0u8; 256];
        let mut sum = 0u64;
        for &byte in bytes {
            let count = &mut counts[usize::from(byte)];
            sum += self.steps[usize::from(*count)];
            // 256 of one value are the last.
            *count = count.wrapping_add(1);
        }
        sum
    }
}

impl Pools {
    /// Adds what a direction sent.
    #[inline]
    pub fn take(&mut self, entropy: &mut Entropy, direction: usize, payload: &[u8]) {
        if payload.is_empty() {
            return;
        }
        let (bytes, place) = (&mut entropy.bytes[direction & 1], &mut entropy.places[direction & 1]);
        let before = *bytes as usize;
        *bytes = bytes.saturating_add(payload.len() as u32);
        if let Place::Nowhere = place.get()
            && payload.len() <= FEW
        {
            *place = Place::Kept(self.kept.begin()).into();
        }
        if let Place::Kept(at) = place.get()
            && let Some(room) = self.kept.at(at).0.get_mut(before..before + payload.len())
        {
            return room.copy_from_slice(payload);
        }
        self.count(place, before, payload);
    }

    /// Reads where the next payload of a direction goes, so that it is in the cache.
    #[inline]
    pub fn touch(&self, entropy: &Entropy, direction: usize) -> u64 {
        let next = entropy.bytes[direction & 1] as usize % FEW;
        match entropy.places[direction & 1].get() {
            Place::Kept(at) => self.kept.slab.at(at).0[next].into(),
            Place::Counted(at) => self.counted.slab.at(at).touch(),
            Place::Nowhere | Place::Many(_) => 0,
        }
    }

    /// Reads what [`Pools::end`] will, of both directions.
    #[inline]
    pub fn touch_end(&self, entropy: &Entropy) -> u64 {
        let of = |direction: usize| match entropy.places[direction].get() {
            Place::Kept(at) => {
                let lines = self.kept.slab.at(at).0.iter().step_by(LINE);
                lines.take(entropy.bytes[direction] as usize / LINE + 1).fold(0, |read, &byte| read ^ u64::from(byte))
            }
            Place::Counted(at) => self.counted.slab.at(at).touch(),
            Place::Nowhere | Place::Many(_) => 0,
        };
        of(0) ^ of(1)
    }

    /// Counts what a direction sent, and what was kept of it so far.
    fn count(&mut self, place: &mut Packed, before: usize, payload: &[u8]) {
        if before + payload.len() > usize::from(u16::MAX) {
            return self.count_many(place, before, payload);
        }
        let at = match place.get() {
            Place::Counted(at) => at,
            _ => {
                let at = self.counted.begin();
                *self.counted.at(at) = Counts::default();
                at
            }
        };
        let counts = self.counted.at(at);
        if let Place::Kept(kept) = place.get() {
            counts.add(self.kept.at(kept).0.get(..before).unwrap_or(&[]));
            self.kept.end(kept);
        }
        *place = Place::Counted(at).into();
        counts.add(payload);
    }

    #[cold]
    fn count_many(&mut self, place: &mut Packed, before: usize, payload: &[u8]) {
        let at = match place.get() {
            Place::Many(at) => at,
            _ => {
                let at = self.many.begin();
                *self.many.at(at) = Counts::default();
                at
            }
        };
        let many = self.many.at(at);
        match place.get() {
            Place::Nowhere | Place::Many(_) => {}
            Place::Kept(kept) => {
                many.add(self.kept.at(kept).0.get(..before).unwrap_or(&[]));
                self.kept.end(kept);
            }
            Place::Counted(counted) => {
                for (many, &few) in many.0.iter_mut().zip(&self.counted.at(counted).0) {
                    *many = few.into();
                }
                self.counted.end(counted);
            }
        }
        *place = Place::Many(at).into();
        many.add(payload);
    }

    /// The flow has ended: the entropies are worked out, and its memory is free again.
    pub fn end(&mut self, entropy: &mut Entropy) {
        for direction in 0..2 {
            let bytes = entropy.bytes[direction];
            let sum = match core::mem::take(&mut entropy.places[direction]).get() {
                Place::Nowhere => continue,
                Place::Kept(at) => {
                    let sum = self.logs.of_few(self.kept.at(at).0.get(..bytes as usize).unwrap_or(&[]));
                    self.kept.end(at);
                    sum
                }
                Place::Counted(at) => {
                    let sum = self.logs.of(self.counted.at(at));
                    self.counted.end(at);
                    sum
                }
                Place::Many(at) => {
                    let sum = self.logs.of(self.many.at(at));
                    self.many.end(at);
                    sum
                }
            };
            let bytes = f64::from(bytes);
            let bits = bytes.log2() - sum as f64 / (1u64 << POINT) as f64 / bytes;
            entropy.milli[direction] = (bits * 1000.0).round() as u16;
        }
    }

    /// Bytes taken.
    pub fn bytes(&self) -> usize {
        self.kept.bytes() + self.counted.bytes() + self.many.bytes()
    }
}

fn c_log_c(count: u32) -> u64 {
    let count = f64::from(count.max(1));
    (count * count.log2() * (1u64 << POINT) as f64).round() as u64
}

/// Numbered places that are used again.
#[derive(Debug, Default)]
struct Pool<T> {
    slab: Slab<T>,
    used: u32,
    free: Vec<u32>,
}

impl<T: Default> Pool<T> {
    /// A place, with what was left in it.
    #[inline]
    fn begin(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.used += 1;
            self.slab.reach(self.used - 1);
            self.used - 1
        })
    }

    #[inline]
    fn at(&mut self, place: u32) -> &mut T {
        self.slab.at_mut(place)
    }

    #[inline]
    fn end(&mut self, place: u32) {
        self.free.push(place);
    }

    fn bytes(&self) -> usize {
        self.slab.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milli(pools: &mut Pools, payloads: &[&[u8]]) -> u16 {
        let mut entropy = Entropy::default();
        payloads.iter().for_each(|payload| pools.take(&mut entropy, 1, payload));
        pools.end(&mut entropy);
        assert_eq!(entropy.milli(0), 0);
        entropy.milli(1)
    }

    /// `n` bytes of which `n / of` are each of `of` values.
    fn even(n: usize, of: usize) -> Vec<u8> {
        (0..n).map(|at| (at % of) as u8).collect()
    }

    #[test]
    fn equal_shares_have_whole_bits() {
        let mut pools = Pools::default();
        for n in [0, 256, 512, 1024, 1 << 16, 1 << 20] {
            for (of, bits) in [(1, 0), (2, 1), (16, 4), (256, 8)] {
                let expected = if n == 0 { 0 } else { bits * 1000 };
                assert_eq!(milli(&mut pools, &[&even(n, of)]), expected, "{n} bytes of {of} values");
            }
        }
    }

    #[test]
    fn a_text_has_what_python_says() {
        let mut pools = Pools::default();
        let text = b"GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n";
        // math.log2 over collections.Counter
        assert_eq!(milli(&mut pools, &[text]), 4418);
        assert_eq!(milli(&mut pools, &[&text[..10], &[], &text[10..]]), 4418);
        // The same however often, and wherever it is kept.
        for times in [2, 7, 30, 2_000, 30_000] {
            assert_eq!(milli(&mut pools, &vec![&text[..]; times]), 4418, "{times} times");
        }
    }

    /// Bytes as of a cipher: the low ones of a xorshift of 64 bits (Marsaglia 2003).
    fn random(n: usize) -> Vec<u8> {
        let mut x = 0x9e37_79b9_7f4a_7c15u64;
        let step = |_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            (x >> 32) as u8
        };
        (0..n).map(step).collect()
    }

    /// What both ends sent.
    fn looks_random(client: &[&[u8]], server: &[&[u8]]) -> bool {
        let (mut pools, mut entropy) = (Pools::default(), Entropy::default());
        client.iter().for_each(|payload| pools.take(&mut entropy, 0, payload));
        server.iter().for_each(|payload| pools.take(&mut entropy, 1, payload));
        pools.end(&mut entropy);
        entropy.looks_random()
    }

    const REQUEST: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: www.example.org\r\nAccept: */*\r\n\r\n";
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: 84\r\n\r\n\
        <html><head><title>Example</title></head><body><p>Nothing to see here.</p></body></html>";

    /// A TLS record (RFC 8446, section 5.1) of application data.
    fn application_data(n: usize) -> Vec<u8> {
        let mut record = vec![23, 3, 3];
        record.extend_from_slice(&(n as u16).to_be_bytes());
        record.extend(random(n));
        record
    }

    #[test]
    fn application_data_of_tls_looks_random() {
        let (short, long) = (application_data(59), application_data(1_400));
        assert!(looks_random(&[&short], &[]));
        assert!(looks_random(&[&short], &[&long, &long]));
        // What begins with a long clear handshake, as with the zeros of padding, does not.
        assert!(!looks_random(&[&[0; 400], &short], &[&long]));
    }

    #[test]
    fn a_web_page_does_not() {
        // 64 bytes, the fewest that tell.
        assert_eq!(REQUEST.len(), LEAST as usize);
        assert!(!looks_random(&[REQUEST], &[]));
        assert!(!looks_random(&[REQUEST], &[ANSWER]));
        // A picture behind the request: what the client sends is clear.
        assert!(!looks_random(&[REQUEST], &[&random(10_000)]));
    }

    #[test]
    fn secure_shell_does_once_its_keys_are_changed() {
        // RFC 4253, section 4.2 and 7.1: the version and the lists of algorithms are clear.
        let version: &[u8] = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n";
        let lists: &[u8] = b"\0\0\0\x7c\x06\x14curve25519-sha256,ecdh-sha2-nistp256,diffie-hellman-group14-sha256\
            ,ssh-ed25519,rsa-sha2-512,aes128-ctr,hmac-sha2-256,none";
        assert!(!looks_random(&[version, lists], &[version, lists]));
        assert!(looks_random(&[version, lists, &random(4_000)], &[version, lists, &random(4_000)]));
    }

    #[test]
    fn random_bytes_do_unless_they_are_few() {
        for n in [64, 65, 80, 100, 110, 128, 256, 257, 1_000, 70_000] {
            assert!(looks_random(&[&random(n)], &[]), "{n}");
            // The other end is too short to tell, or clear.
            assert!(looks_random(&[b"ok"], &[&random(n)]), "{n}");
            assert!(!looks_random(&[&[b'x'; 64]], &[&random(n)]), "{n}");
            // Half of the values only, 7 bits at most: enough of them tell.
            let half: Vec<u8> = random(n).into_iter().map(|byte| byte & 127).collect();
            assert_eq!(looks_random(&[&half], &[]), n < 1_000, "{n}");
        }
        assert!(!looks_random(&[&random(63)], &[&random(63)]));
        assert!(!looks_random(&[], &[]));
    }

    #[test]
    fn what_has_ended_is_used_again() {
        let mut pools = Pools::default();
        for _ in 0..100 {
            for n in [100, 300, 70_000] {
                assert_eq!(milli(&mut pools, &[&even(n, 4)[..48], &even(n, 4)[48..]]), 2000);
            }
        }
        assert_eq!((pools.kept.used, pools.counted.used, pools.many.used), (1, 1, 1));
    }
}
