//! Fractions of sizes: what a shape computation holds between a cast to float
//! and the floor or ceiling that makes it a size again.

use std::ops::{Add, Neg, Sub};

use super::Expr;

/// Denominators beyond this are not followed.
const MAX_DEN: i64 = 1 << 30;

/// An exact fraction of sizes, with a positive number below the bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ratio {
    num: Expr,
    den: i64,
}

impl From<Expr> for Ratio {
    fn from(num: Expr) -> Self {
        Self { num, den: 1 }
    }
}

impl Ratio {
    /// num / den; `None` where `den` is zero or too large to follow.
    pub fn new(num: Expr, den: i64) -> Option<Self> {
        let (num, den) = if den < 0 {
            (num * (-1).into(), den.checked_neg()?)
        } else {
            (num, den)
        };
        if !(1..=MAX_DEN).contains(&den) {
            return None;
        }
        match num.exact_div(&den.into()) {
            Some(whole) => Some(whole.into()),
            None => Some(Self { num, den }),
        }
    }

    /// A float, exactly; `None` where it is not finite or too fine.
    pub fn from_f64(value: f64) -> Option<Self> {
        let mut den = 1i64;
        let mut num = value;
        while num.fract() != 0.0 && den < MAX_DEN {
            num *= 2.0;
            den *= 2;
        }
        #[allow(clippy::cast_possible_truncation)]
        (num.is_finite() && num.fract() == 0.0 && num.abs() < 2f64.powi(62))
            .then(|| Self::new((num as i64).into(), den))
            .flatten()
    }

    /// The number, where no symbol is left.
    pub fn as_f64(&self) -> Option<f64> {
        #[allow(clippy::cast_precision_loss)]
        Some(self.num.as_const()? as f64 / self.den as f64)
    }

    /// The size, where it is a whole one.
    pub fn as_expr(&self) -> Option<&Expr> {
        (self.den == 1).then_some(&self.num)
    }

    /// The largest size that is not above it.
    pub fn floor(&self) -> Expr {
        self.num.floor_div(self.den)
    }

    /// The smallest size that is not below it.
    pub fn ceil(&self) -> Expr {
        self.num.ceil_div(self.den)
    }

    /// The size, fraction cut off: the floor, unless it is known to be negative.
    pub fn trunc(&self) -> Expr {
        if self.less(&Expr::from(0).into()) == Some(true) {
            self.ceil()
        } else {
            self.floor()
        }
    }

    /// The product.
    pub fn times(&self, other: &Self) -> Option<Self> {
        Self::new(
            self.num.clone() * other.num.clone(),
            self.den.checked_mul(other.den)?,
        )
    }

    /// The quotient, where it is a polynomial over a number.
    pub fn over(&self, other: &Self) -> Option<Self> {
        if let Some(by) = other.num.as_i64() {
            return Self::new(
                self.num.clone() * other.den.into(),
                self.den.checked_mul(by)?,
            );
        }
        let num = self.num.clone() * other.den.into();
        Self::new(num.exact_div(&other.num)?, self.den)
    }

    /// Whether it is less than another, where that holds for all sizes.
    pub fn less(&self, other: &Self) -> Option<bool> {
        let (low, high) = self.distance(other);
        match (low, high) {
            (_, Some(high)) if high < 0 => Some(true),
            (Some(low), _) if low >= 0 => Some(false),
            _ => None,
        }
    }

    /// Whether it equals another, where that holds for all sizes.
    pub fn same(&self, other: &Self) -> Option<bool> {
        match self.distance(other) {
            (Some(0), Some(0)) => Some(true),
            (Some(low), _) if low > 0 => Some(false),
            (_, Some(high)) if high < 0 => Some(false),
            _ => None,
        }
    }

    /// Bounds of the difference, by sign.
    fn distance(&self, other: &Self) -> (Option<i128>, Option<i128>) {
        let difference = self.num.clone() * other.den.into() - other.num.clone() * self.den.into();
        let negative = difference.clone() * (-1).into();
        (
            difference.at_least(),
            negative.at_least().map(i128::saturating_neg),
        )
    }
}

impl Neg for Ratio {
    type Output = Self;
    fn neg(self) -> Self {
        Self {
            num: self.num * (-1).into(),
            den: self.den,
        }
    }
}

/// The sum; `None` where the denominator grows too large.
impl Add for &Ratio {
    type Output = Option<Ratio>;
    fn add(self, other: Self) -> Option<Ratio> {
        if self.den == other.den {
            return Ratio::new(self.num.clone() + other.num.clone(), self.den);
        }
        Ratio::new(
            self.num.clone() * other.den.into() + other.num.clone() * self.den.into(),
            self.den.checked_mul(other.den)?,
        )
    }
}

/// The difference; `None` where the denominator grows too large.
impl Sub for &Ratio {
    type Output = Option<Ratio>;
    fn sub(self, other: Self) -> Option<Ratio> {
        self + &-other.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn h() -> Ratio {
        Expr::symbol("H").into()
    }

    fn n(v: f64) -> Ratio {
        Ratio::from_f64(v).unwrap()
    }

    #[test]
    fn a_halved_size_is_a_floor() {
        let half = h().times(&n(0.5)).unwrap();
        assert_eq!(half.as_expr(), None);
        assert_eq!(half.floor(), Expr::symbol("H").floor_div(2));
        assert_eq!(half.ceil(), Expr::symbol("H").ceil_div(2));
        assert_eq!(half.times(&n(2.0)).unwrap(), h());
        assert_eq!(h().over(&n(0.5)).unwrap().floor().to_string(), "2*H");
    }

    #[test]
    fn a_size_is_at_least_one() {
        assert_eq!(h().same(&n(-1.0)), Some(false));
        assert_eq!(h().less(&n(0.0)), Some(false));
        assert_eq!(h().less(&n(2.0)), None);
        assert_eq!(h().same(&h()), Some(true));
        let unknown: Ratio = Expr::symbol("?v").into();
        assert_eq!(unknown.same(&n(-1.0)), None);
    }

    #[test]
    fn what_is_too_fine_is_not_followed() {
        assert!(Ratio::from_f64(1e-12).is_none());
        assert!(Ratio::from_f64(f64::INFINITY).is_none());
        assert!(n(0.25).over(&n(0.0)).is_none());
    }
}
