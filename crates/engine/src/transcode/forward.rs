//! What hands values on to another writer: all that are written alike wherever they go.

macro_rules! forward {
    ($this:ident => $writer:expr) => {
        forward!($this => $writer; number(u64), signed(i64), float(f64), latency(u64), boolean(bool), time(Nanos),
            ipv4([u8; 4]), ipv6([u8; 16]), mac([u8; 6]), text(&[u8]), octets(&[u8]));
    };
    ($this:ident => $writer:expr; $($method:ident($value:ty)),+) => {
        $(#[inline]
        fn $method(&mut $this, key: &Self::Key, value: $value) {
            $writer.$method(key, value);
        })+
    };
}
