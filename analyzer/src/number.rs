//! Numbers of a report: exact, and symbolic where the model is.

use std::fmt;

use compiler::ir::Expr;
use num_rational::Ratio;
use serde::{Serialize, Serializer};

/// A count or size. In JSON a number where it is known, else a polynomial in
/// the model's symbols as a string (`"N*401408"`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count(pub Expr);

impl Count {
    /// The number, where no symbol is left.
    pub fn known(&self) -> Option<i128> {
        self.0.as_const()
    }

    /// The number as a float, where no symbol is left.
    #[allow(clippy::cast_precision_loss)]
    pub fn approximate(&self) -> Option<f64> {
        self.known().map(|v| v as f64)
    }
}

impl From<Expr> for Count {
    fn from(expr: Expr) -> Self {
        Self(expr)
    }
}

impl From<u64> for Count {
    fn from(v: u64) -> Self {
        Self(v.into())
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.known() {
            Some(v) => match (u64::try_from(v), i64::try_from(v)) {
                (Ok(v), _) => serializer.serialize_u64(v),
                (_, Ok(v)) => serializer.serialize_i64(v),
                _ => serializer.collect_str(&v),
            },
            None => serializer.collect_str(&self.0),
        }
    }
}

/// An exact rational: positions in the input, in pixels. In JSON an integer
/// where it is whole, else a decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exact(pub Ratio<i64>);

impl Exact {
    /// The nearest float.
    #[allow(clippy::cast_precision_loss)]
    pub fn as_f64(self) -> f64 {
        *self.0.numer() as f64 / *self.0.denom() as f64
    }
}

impl From<i64> for Exact {
    fn from(v: i64) -> Self {
        Self(Ratio::from_integer(v))
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_integer() {
            self.0.numer().fmt(f)
        } else {
            self.as_f64().fmt(f)
        }
    }
}

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_integer() {
            serializer.serialize_i64(*self.0.numer())
        } else {
            serializer.serialize_f64(self.as_f64())
        }
    }
}

/// A measured quantity (a share, a ratio, a deviation). In JSON an integer
/// where it is whole, and rounded to nine decimals, so that reports compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Real(pub f64);

impl From<f64> for Real {
    fn from(v: f64) -> Self {
        Self(v)
    }
}

impl fmt::Display for Real {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Real {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let v = self.0;
        if v.fract() == 0.0 && v.abs() < 1e15 {
            #[allow(clippy::cast_possible_truncation)]
            return serializer.serialize_i64(v as i64);
        }
        let rounded = (v * 1e9).round() / 1e9;
        serializer.serialize_f64(if rounded.is_finite() && rounded != 0.0 {
            rounded
        } else {
            v
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_a_number_where_the_number_is_known() {
        let n = Expr::symbol("N");
        let json = serde_json::json!([
            Count(12.into()),
            Count(n * 3.into()),
            Count(i128::MAX.into()),
            Exact(Ratio::new(7, 2)),
            Exact(Ratio::new(8, 2)),
            Real(0.75),
            Real(2.0),
        ]);
        assert_eq!(
            json.to_string(),
            r#"[12,"3*N","170141183460469231731687303715884105727",3.5,4,0.75,2]"#
        );
    }
}
