//! Lines on stderr.

/// Writes a line.
pub fn line(text: &str) {
    eprintln!("{text}");
}
