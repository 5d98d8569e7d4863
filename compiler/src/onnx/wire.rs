//! The protobuf wire format, below any schema: keys, varints, lengths.

/// How a field's value is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Varint,
    Fixed64,
    Length,
    StartGroup,
    EndGroup,
    Fixed32,
}

/// What is wrong with bytes that should be protobuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireProblem {
    /// The bytes end inside a value.
    #[error("a value runs past the end of what holds it")]
    PastEnd,
    /// A varint of more than ten bytes, or above 64 bits.
    #[error("a varint of more than 64 bits")]
    LongVarint,
    /// Field number 0, or one above 2^29 − 1.
    #[error("an impossible field number")]
    FieldNumber,
    /// Wire types 6 and 7 do not exist.
    #[error("a wire type that does not exist")]
    WireType,
    /// The field is of the schema, but laid out as another kind of field.
    #[error("a known field of another type")]
    FieldType,
    /// A group that does not end, ends without having begun, or nests too deep.
    #[error("an unbalanced or deeply nested group")]
    Group,
    /// Packed values whose length is no multiple of their width.
    #[error("packed values with a rest")]
    Packed,
    /// Strings must be UTF-8.
    #[error("a string that is not UTF-8")]
    Utf8,
}

/// A position in `bytes`, and where the message at hand ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    /// Offset from the beginning of the file.
    pub(super) at: usize,
    pub(super) end: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            end: bytes.len(),
        }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.end
    }

    /// What is left of the message at hand.
    pub(super) fn bytes(&self) -> &'a [u8] {
        &self.bytes[self.at..self.end]
    }

    pub(super) fn left(&self) -> usize {
        self.end - self.at
    }

    pub(super) fn varint(&mut self) -> Result<u64, WireProblem> {
        let mut value = 0u64;
        for (index, &byte) in self.bytes().iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                // The tenth byte has room for one bit.
                if index == 9 && byte > 1 {
                    return Err(WireProblem::LongVarint);
                }
                self.at += index + 1;
                return Ok(value);
            }
        }
        Err(if self.left() >= 10 {
            WireProblem::LongVarint
        } else {
            WireProblem::PastEnd
        })
    }

    /// Field number and wire type.
    pub(super) fn key(&mut self) -> Result<(u32, Wire), WireProblem> {
        let key = self.varint()?;
        let wire = match key & 7 {
            0 => Wire::Varint,
            1 => Wire::Fixed64,
            2 => Wire::Length,
            3 => Wire::StartGroup,
            4 => Wire::EndGroup,
            5 => Wire::Fixed32,
            _ => return Err(WireProblem::WireType),
        };
        match u32::try_from(key >> 3) {
            Ok(number @ 1..=0x1fff_ffff) => Ok((number, wire)),
            _ => Err(WireProblem::FieldNumber),
        }
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: u64) -> Result<&'a [u8], WireProblem> {
        match usize::try_from(count) {
            Ok(count) if count <= self.left() => {
                let slice = &self.bytes[self.at..self.at + count];
                self.at += count;
                Ok(slice)
            }
            _ => Err(WireProblem::PastEnd),
        }
    }

    /// A cursor over the next `count` bytes; this one goes past them.
    pub(super) fn split(&mut self, count: u64) -> Result<Cursor<'a>, WireProblem> {
        let at = self.at;
        self.take(count)?;
        Ok(Cursor {
            bytes: self.bytes,
            at,
            end: self.at,
        })
    }

    /// Skips one value whose key has been read. Groups may nest `depth` deep.
    pub(super) fn skip(
        &mut self,
        number: u32,
        wire: Wire,
        depth: usize,
    ) -> Result<(), WireProblem> {
        match wire {
            Wire::Varint => self.varint().map(drop),
            Wire::Fixed32 => self.take(4).map(drop),
            Wire::Fixed64 => self.take(8).map(drop),
            Wire::Length => {
                let length = self.varint()?;
                self.take(length).map(drop)
            }
            Wire::EndGroup => Err(WireProblem::Group),
            Wire::StartGroup => {
                let mut open = vec![number];
                while let Some(&innermost) = open.last() {
                    match self.key()? {
                        (number, Wire::EndGroup) if number == innermost => drop(open.pop()),
                        (_, Wire::EndGroup) => return Err(WireProblem::Group),
                        (_, Wire::StartGroup) if open.len() >= depth => {
                            return Err(WireProblem::Group);
                        }
                        (number, Wire::StartGroup) => open.push(number),
                        (number, wire) => self.skip(number, wire, 0)?,
                    }
                }
                Ok(())
            }
        }
    }
}
