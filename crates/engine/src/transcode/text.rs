//! Values as text: what JSON, and the texts of TLV, share.

/// A moment in the unit its element is told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
}

impl When {
    /// The unit of an element of this kind. Milliseconds of uptime are told as seconds since 1970.
    pub(super) fn of(kind: flowsonde_elements::Kind) -> When {
        use flowsonde_elements::Kind;
        match kind {
            Kind::Millis => When::Millis,
            Kind::Micros => When::Micros,
            Kind::Nanos => When::Nanos,
            _ => When::Seconds,
        }
    }

    /// The number.
    #[inline]
    pub(super) fn tell(self, time: flowsonde_wire::Nanos) -> u64 {
        match self {
            When::Seconds => time.seconds(),
            When::Millis => time.millis(),
            When::Micros => time.micros(),
            When::Nanos => time.0,
        }
    }
}
