//! A text put together for one record, without memory of its own.

/// At most so many bytes.
const ROOM: usize = 512;

/// A short text. What does not fit is left away, between characters.
#[derive(Debug)]
pub struct Line {
    length: usize,
    bytes: [u8; ROOM],
}

impl Default for Line {
    fn default() -> Self {
        Line { length: 0, bytes: [0; ROOM] }
    }
}

impl Line {
    /// Appends a text.
    pub fn push(&mut self, text: &str) {
        let text = text.as_bytes().get(..text.floor_char_boundary(ROOM - self.length)).unwrap_or(&[]);
        if let Some(place) = self.bytes.get_mut(self.length..self.length + text.len()) {
            place.copy_from_slice(text);
            self.length += text.len();
        }
    }

    /// Appends a number.
    pub fn number(&mut self, n: u64) {
        self.push(itoa::Buffer::new().format(n));
    }

    /// The text.
    pub fn text(&self) -> &str {
        self.bytes.get(..self.length).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_away_between_characters() {
        let mut line = Line::default();
        line.push(&"x".repeat(ROOM - 1));
        line.push("é");
        line.number(12);
        assert_eq!(line.text(), "x".repeat(ROOM - 1) + "1");
    }
}
