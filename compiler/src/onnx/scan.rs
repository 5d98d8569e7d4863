//! Walks a model's bytes once before they are decoded.
//!
//! The derived decoder skips what it does not know without a word, trusts that
//! memory is cheap (two bytes of input can become a structure of 400), and
//! names no place when it fails. The walk checks the same bytes against the
//! [`descriptor`](super::descriptor) tables first: it finds unknown fields,
//! adds up the memory that decoding will take, bounds the nesting, and reports
//! faults with path and offset. It allocates nothing but its findings.

use std::fmt::Write;

use super::decode::{DecodeError, Limits};
use super::descriptor::{Descriptor, Field, Kind, MAX_FIELDS};
use super::wire::{Cursor, Wire, WireProblem};

/// So many unknown fields are listed; the rest are counted.
pub const LISTED_UNKNOWN_FIELDS: usize = 256;

/// A field that IR version 14 does not define.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownField {
    /// Where, such as `graph.node[3]`; empty for the model itself.
    pub path: String,
    /// Its number.
    pub number: u32,
    /// Bytes of its key and value.
    pub bytes: u64,
}

impl std::fmt::Display for UnknownField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = if self.path.is_empty() {
            "the model"
        } else {
            &self.path
        };
        write!(f, "{path}: field {} ({} bytes)", self.number, self.bytes)
    }
}

/// What decoding loses, since the schema has no place for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnknownFields {
    /// The first [`LISTED_UNKNOWN_FIELDS`] of them, in the file's order.
    pub listed: Vec<UnknownField>,
    /// How many there are.
    pub count: u64,
}

impl UnknownFields {
    /// Whether decoding loses nothing.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// What one walk finds.
pub(super) struct Findings {
    pub(super) unknown: UnknownFields,
    /// Bytes that the decoded structures take, without spare capacity.
    pub(super) memory: u64,
}

/// Walks `bytes` as one message of that kind.
///
/// # Errors
/// Malformed or truncated bytes, nesting or memory beyond the limits.
pub(super) fn scan(
    bytes: &[u8],
    descriptor: &'static Descriptor,
    limits: &Limits,
) -> Result<Findings, DecodeError> {
    let findings = Findings {
        unknown: UnknownFields::default(),
        memory: descriptor.size as u64,
    };
    let allowed = limits.memory_for(bytes.len());
    let mut scan = Scan {
        findings,
        path: Vec::new(),
        limits,
        allowed,
    };
    scan.message(descriptor, Cursor::new(bytes))?;
    Ok(scan.findings)
}

/// A field on the way from the model to where the walk is, and which of the
/// repeated ones.
type Step = (&'static str, Option<u64>);

struct Scan<'a> {
    findings: Findings,
    path: Vec<Step>,
    limits: &'a Limits,
    allowed: u64,
}

impl Scan<'_> {
    fn message(
        &mut self,
        descriptor: &'static Descriptor,
        mut cursor: Cursor<'_>,
    ) -> Result<(), DecodeError> {
        let mut seen = [0u64; MAX_FIELDS];
        while !cursor.is_at_end() {
            let start = cursor.at;
            let fault = |scan: &Self, problem| scan.malformed(start, problem);
            let (number, wire) = cursor.key().map_err(|p| fault(self, p))?;
            let Some((place, field)) = descriptor.field(number) else {
                cursor
                    .skip(number, wire, self.limits.depth)
                    .map_err(|p| fault(self, p))?;
                self.unknown(number, (cursor.at - start) as u64);
                continue;
            };
            if wire == Wire::Length {
                let length = cursor.varint().map_err(|p| fault(self, p))?;
                let Ok(body) = cursor.split(length) else {
                    return Err(self.cut_short(field, start, length, cursor.left()));
                };
                self.length_delimited(field, body, &mut seen[place])?;
            } else {
                self.scalar(field, wire, &mut cursor)
                    .map_err(|p| fault(self, p))?;
                self.charge(field.kind.element_size())?;
            }
        }
        Ok(())
    }

    fn length_delimited(
        &mut self,
        field: &'static Field,
        body: Cursor<'_>,
        seen: &mut u64,
    ) -> Result<(), DecodeError> {
        let start = body.at;
        let bytes = body.bytes();
        let size = field.kind.element_size();
        match field.kind {
            Kind::Message(inner) | Kind::Boxed(inner) => {
                self.charge(size)?;
                self.nested(field.name, None, inner, body)
            }
            Kind::Messages(inner) => {
                self.charge(size)?;
                let index = *seen;
                *seen += 1;
                self.nested(field.name, Some(index), inner, body)
            }
            Kind::Text | Kind::Texts => {
                if std::str::from_utf8(bytes).is_err() {
                    return Err(self.malformed_in(field, start, WireProblem::Utf8));
                }
                self.charge(size.saturating_add(bytes.len() as u64))
            }
            Kind::Blob | Kind::Blobs => self.charge(size),
            Kind::Varints32 | Kind::Varints64 => {
                if bytes.last().is_some_and(|&last| last >= 0x80) {
                    return Err(self.malformed_in(field, start, WireProblem::Packed));
                }
                let count = bytes.iter().filter(|&&byte| byte < 0x80).count() as u64;
                self.charge(size.saturating_mul(count))
            }
            Kind::Floats | Kind::Doubles => {
                if !(bytes.len() as u64).is_multiple_of(size) {
                    return Err(self.malformed_in(field, start, WireProblem::Packed));
                }
                self.charge(bytes.len() as u64)
            }
            Kind::Varint | Kind::Fixed32 => {
                Err(self.malformed_in(field, start, WireProblem::FieldType))
            }
        }
    }

    fn nested(
        &mut self,
        name: &'static str,
        index: Option<u64>,
        descriptor: &'static Descriptor,
        body: Cursor<'_>,
    ) -> Result<(), DecodeError> {
        if self.path.len() >= self.limits.depth {
            return Err(DecodeError::TooDeep {
                limit: self.limits.depth,
                path: self.place(),
            });
        }
        self.path.push((name, index));
        self.message(descriptor, body)?;
        self.path.pop();
        Ok(())
    }

    /// One value that is not length-delimited.
    fn scalar(
        &self,
        field: &Field,
        wire: Wire,
        cursor: &mut Cursor<'_>,
    ) -> Result<(), WireProblem> {
        match (field.kind, wire) {
            (Kind::Varint | Kind::Varints32 | Kind::Varints64, Wire::Varint) => {
                cursor.varint().map(drop)
            }
            (Kind::Fixed32 | Kind::Floats, Wire::Fixed32) => cursor.take(4).map(drop),
            (Kind::Doubles, Wire::Fixed64) => cursor.take(8).map(drop),
            _ => Err(WireProblem::FieldType),
        }
    }

    fn charge(&mut self, bytes: u64) -> Result<(), DecodeError> {
        let memory = self.findings.memory.saturating_add(bytes);
        self.findings.memory = memory;
        if memory > self.allowed {
            return Err(DecodeError::TooMuchMemory {
                allowed: self.allowed,
                path: self.place(),
            });
        }
        Ok(())
    }

    fn unknown(&mut self, number: u32, bytes: u64) {
        self.findings.unknown.count += 1;
        if self.findings.unknown.listed.len() < LISTED_UNKNOWN_FIELDS {
            let field = UnknownField {
                path: self.place(),
                number,
                bytes,
            };
            self.findings.unknown.listed.push(field);
        }
    }

    /// Where the walk is: `graph.node[3].attribute[0]`; empty at the top.
    fn place(&self) -> String {
        let mut place = String::new();
        for (name, index) in &self.path {
            let dot = if place.is_empty() { "" } else { "." };
            // Writing to a string does not fail.
            let _ = match index {
                Some(index) => write!(place, "{dot}{name}[{index}]"),
                None => write!(place, "{dot}{name}"),
            };
        }
        place
    }

    fn malformed(&self, offset: usize, problem: WireProblem) -> DecodeError {
        if problem == WireProblem::PastEnd && self.path.is_empty() {
            return DecodeError::Truncated {
                field: "the model",
                missing: None,
            };
        }
        DecodeError::Malformed {
            path: self.place(),
            offset: offset as u64,
            problem,
        }
    }

    fn malformed_in(&mut self, field: &Field, offset: usize, problem: WireProblem) -> DecodeError {
        self.path.push((field.name, None));
        DecodeError::Malformed {
            path: self.place(),
            offset: offset as u64,
            problem,
        }
    }

    /// A length beyond what is left: at the top the file itself is too short,
    /// deeper down the lengths contradict each other.
    fn cut_short(&self, field: &Field, offset: usize, length: u64, left: usize) -> DecodeError {
        if self.path.is_empty() {
            let missing = Some(length.saturating_sub(left as u64));
            return DecodeError::Truncated {
                field: field.name,
                missing,
            };
        }
        self.malformed(offset, WireProblem::PastEnd)
    }
}

impl Kind {
    /// Bytes that one element takes on the heap; nothing for what has its place
    /// in the message.
    fn element_size(self) -> u64 {
        let size = match self {
            Kind::Varint | Kind::Fixed32 | Kind::Text | Kind::Blob | Kind::Message(_) => 0,
            Kind::Boxed(inner) | Kind::Messages(inner) => inner.size,
            Kind::Texts => size_of::<String>(),
            Kind::Blobs => size_of::<bytes::Bytes>(),
            Kind::Varints32 | Kind::Floats => 4,
            Kind::Varints64 | Kind::Doubles => 8,
        };
        size as u64
    }
}
