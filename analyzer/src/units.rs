//! Numbers for people: three digits and a unit.

/// `1.81 G`: decimal prefixes, three significant digits; whole below 1000.
pub fn si(value: f64) -> String {
    scaled(value, 1000.0, &["", " k", " M", " G", " T", " P", " E"])
}

/// `46.8 MB`.
pub fn bytes(value: f64) -> String {
    scaled(
        value,
        1000.0,
        &[" B", " kB", " MB", " GB", " TB", " PB", " EB"],
    )
}

/// `98.94 %` of a fraction.
pub fn percent(fraction: f64) -> String {
    format!("{:.2} %", fraction * 100.0)
}

/// `-28.0 %`: the change from `before` to `after`; empty where there is none.
pub fn change(before: f64, after: f64) -> String {
    if before == after || before == 0.0 {
        return String::new();
    }
    format!("{:+.1} %", (after / before - 1.0) * 100.0)
}

/// `1.23e-5`, `0.0123`, `0`: three significant digits, for errors and ratios.
pub fn small(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    if (1e-3..1e4).contains(&value.abs()) {
        let digits = 2 - value.abs().log10().floor() as i32;
        return trim(&format!("{value:.*}", digits.clamp(0, 6) as usize));
    }
    format!("{value:.2e}")
}

/// A whole number plain, any other with at most two decimals.
pub fn plain(value: f64) -> String {
    trim(&format!("{value:.2}"))
}

/// `1.23 ms`.
pub fn seconds(value: f64) -> String {
    let (scale, unit) = match value.abs() {
        v if v >= 1.0 => (1.0, "s"),
        v if v >= 1e-3 => (1e3, "ms"),
        _ => (1e6, "µs"),
    };
    format!("{} {unit}", three(value * scale))
}

fn scaled(value: f64, step: f64, units: &[&str]) -> String {
    let mut scaled = value;
    let mut unit = 0;
    // 999.5 of a unit would be rounded to 1000 of it.
    while scaled.abs() >= step * 0.9995 && unit + 1 < units.len() {
        scaled /= step;
        unit += 1;
    }
    if unit == 0 {
        return format!("{}{}", trim(&format!("{scaled:.2}")), units[0]);
    }
    format!("{}{}", three(scaled), units[unit])
}

fn three(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}

fn trim(text: &str) -> String {
    if text.contains('.') {
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        assert_eq!(si(1_814_073_344.0), "1.81 G");
        assert_eq!(si(999.0), "999");
        assert_eq!(si(999_950.0), "1.00 M");
        assert_eq!(si(5994.0), "5.99 k");
        assert_eq!(si(0.0), "0");
        assert_eq!(bytes(46_758_048.0), "46.8 MB");
        assert_eq!(percent(0.9894), "98.94 %");
        assert_eq!(change(100.0, 72.0), "-28.0 %");
        assert_eq!(change(5.0, 5.0), "");
        assert_eq!(small(0.012_345), "0.0123");
        assert_eq!(small(1.234_5e-7), "1.23e-7");
        assert_eq!(small(0.5), "0.5");
        assert_eq!(plain(11.5), "11.5");
        assert_eq!(plain(28.0), "28");
        assert_eq!(seconds(0.001_234), "1.23 ms");
    }
}
