//! Quantities with units: `2.5G`, `20 MB`, `512 KiB`.

/// Reads a quantity; `None` if it is none.
pub(super) fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '_'))
        .unwrap_or(text.len());
    let number: f64 = text[..digits].replace('_', "").parse().ok()?;
    let unit = text[digits..].trim();
    let unit = unit.strip_suffix('B').unwrap_or(unit);
    let factor = match unit {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let value = (number * factor).round();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (0.0..9e18).contains(&value).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn units() {
        for (text, value) in [
            ("20 MB", Some(20_000_000)),
            ("2.5G", Some(2_500_000_000)),
            ("512 KiB", Some(524_288)),
            ("1_000", Some(1000)),
            ("3k", Some(3000)),
            ("12 parsecs", None),
            ("-3", None),
            ("", None),
            ("1e99G", None),
        ] {
            assert_eq!(parse(text), value, "{text}");
        }
    }
}
