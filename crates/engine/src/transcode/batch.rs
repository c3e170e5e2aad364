//! Records put together in messages for ZeroMQ, in the formats there are.

use core::marker::PhantomData;

use flowsonde_elements::Kind;
use flowsonde_wire::Nanos;

use super::{Emit, Json, Name, Place, Tlv, json, tlv};
use crate::encode::Messages;

/// How records are put together in one message for ZeroMQ.
#[derive(Clone, Copy, Debug)]
pub struct Batching {
    /// Most records; ntopng counts at most 255.
    pub records: u32,
    /// Most bytes.
    pub bytes: usize,
    /// Nanoseconds after which a message goes out that is not full.
    pub wait: u64,
}

impl Default for Batching {
    fn default() -> Self {
        // 32,768 bytes is the most ntopng 4 takes.
        Batching { records: 64, bytes: 32_768 - 64, wait: 1_000_000_000 }
    }
}

/// A message under way.
#[derive(Debug)]
pub(crate) struct Batch {
    limits: Batching,
    frame: Frame,
    bytes: Vec<u8>,
    records: u32,
    since: Nanos,
    /// Where the record under way begins.
    start: usize,
}

/// What stands around and between the records of a message.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    before: &'static [u8],
    between: &'static [u8],
    after: &'static [u8],
    /// Behind each record.
    close: &'static [u8],
}

/// A format of records in messages: what writes them, and what stands around them.
pub trait Form: 'static {
    /// What is put before a value.
    type Key: super::Key + core::fmt::Debug + Send;
    /// What writes values.
    type Writer<'a>: Emit<Key = Self::Key>;
    /// What stands around records.
    const FRAME: Frame;

    /// The key of a value: its number, or with `labels` its name.
    fn key(name: &Name, kind: Kind, first: bool, labels: bool) -> Self::Key;

    /// Writes behind what `out` holds.
    fn writer(out: &mut Vec<u8>) -> Self::Writer<'_>;
}

/// Records as TLV.
#[derive(Debug)]
pub enum AsTlv {}

impl Form for AsTlv {
    type Key = tlv::Key;
    type Writer<'a> = Tlv<'a>;
    const FRAME: Frame = Frame { before: &Tlv::BEGIN, between: b"", after: b"", close: b"\x01" };

    fn key(name: &Name, kind: Kind, _: bool, labels: bool) -> tlv::Key {
        Tlv::key(name, kind, labels)
    }

    #[inline(always)]
    fn writer(out: &mut Vec<u8>) -> Tlv<'_> {
        Tlv { out }
    }
}

/// Arrays of JSON objects.
#[derive(Debug)]
pub enum AsJson {}

impl Form for AsJson {
    type Key = json::Key;
    type Writer<'a> = Json<'a>;
    const FRAME: Frame = Frame { before: b"[", between: b",", after: b"]", close: b"}" };

    fn key(name: &Name, kind: Kind, first: bool, labels: bool) -> json::Key {
        Json::key(name, kind, first, !labels)
    }

    #[inline(always)]
    fn writer(out: &mut Vec<u8>) -> Json<'_> {
        Json { out }
    }
}

impl Batch {
    /// With nothing in it.
    pub fn new(limits: Batching, frame: Frame) -> Batch {
        Batch { limits, frame, bytes: frame.before.to_vec(), records: 0, since: Nanos(0), start: 0 }
    }

    #[inline]
    fn begin(&mut self) {
        if self.records > 0 {
            self.bytes.extend_from_slice(self.frame.between);
        }
        self.start = self.bytes.len();
    }

    /// A record is whole: when it does not fit, those before it go first.
    #[inline]
    fn end(&mut self, out: &mut Messages) {
        self.bytes.extend_from_slice(self.frame.close);
        self.records += 1;
        if self.bytes.len() + self.frame.after.len() > self.limits.bytes && self.records > 1 {
            self.overflow(out);
        }
        if self.records >= self.limits.records {
            self.send(out);
        }
    }

    #[cold]
    fn overflow(&mut self, out: &mut Messages) {
        let last = self.bytes.split_off(self.start);
        self.bytes.truncate(self.start - self.frame.between.len());
        self.records -= 1;
        self.send(out);
        self.bytes.extend_from_slice(&last);
        self.records = 1;
    }

    /// What there is goes.
    pub fn send(&mut self, out: &mut Messages) {
        if self.records == 0 {
            return;
        }
        self.bytes.extend_from_slice(self.frame.after);
        out.buffer().extend_from_slice(&self.bytes);
        out.finish(self.records);
        self.bytes.clear();
        self.bytes.extend_from_slice(self.frame.before);
        self.records = 0;
    }

    /// What waited too long goes.
    pub fn tick(&mut self, now: Nanos, out: &mut Messages) {
        if self.records > 0 && now.since(self.since) >= self.limits.wait {
            self.send(out);
        }
    }

    /// Records in it.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// The time, told before records are put in.
    pub fn mark(&mut self, now: Nanos) {
        if self.records == 0 {
            self.since = now;
        }
    }

    /// Puts records in; whole messages go to `out`.
    #[inline]
    pub fn fill<'a, F: Form>(&'a mut self, out: &'a mut Messages) -> Filling<'a, F> {
        Filling { batch: self, out, form: PhantomData }
    }
}

/// A batch and where its messages go.
pub(crate) struct Filling<'a, F> {
    batch: &'a mut Batch,
    out: &'a mut Messages,
    form: PhantomData<F>,
}

impl<F: Form> Emit for Filling<'_, F> {
    type Key = F::Key;

    #[inline(always)]
    fn put_number(key: &F::Key, n: u64, place: &mut Place) -> usize {
        F::Writer::put_number(key, n, place)
    }

    #[inline(always)]
    fn put_ipv4(key: &F::Key, address: [u8; 4], place: &mut Place) -> usize {
        F::Writer::put_ipv4(key, address, place)
    }

    #[inline]
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.batch.bytes
    }

    #[inline]
    fn begin(&mut self) {
        self.batch.begin();
    }

    #[inline]
    fn end(&mut self) {
        self.batch.end(self.out);
    }

    forward!(self => F::writer(&mut self.batch.bytes));

    #[inline]
    fn structure(&mut self, key: &Self::Key, json: &[u8]) {
        F::writer(&mut self.batch.bytes).structure(key, json);
    }
}
