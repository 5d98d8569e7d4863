//! Sizes: integer polynomials in the symbols of a model (`N`, `H`, `batch`).
//!
//! A dimension, a count of MACs and an entry of a shape tensor are all an
//! [`Expr`], so that what is symbolic stays exact and what is known is a
//! number. Coefficients saturate: a hostile size becomes a huge number, never
//! a panic and never a small number.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Add, AddAssign, Mul, Sub};
use std::sync::Arc;

/// Polynomials with more terms than this collapse into one opaque symbol.
const MAX_TERMS: usize = 128;
/// Nesting of floors beyond this collapses too.
const MAX_DEPTH: usize = 64;

/// What a polynomial is built of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Atom {
    Symbol(Arc<str>),
    /// ⌊num / den⌋, den > 1.
    Floor(Arc<Expr>, i128),
}

/// Product of atoms with their powers, sorted by atom.
type Monomial = Vec<(Atom, u32)>;

/// An integer polynomial, canonical: equal sizes compare equal where the
/// difference is not hidden behind a floor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Expr {
    terms: BTreeMap<Monomial, i128>,
    depth: usize,
}

impl Expr {
    /// A free symbol.
    pub fn symbol(name: impl AsRef<str>) -> Self {
        let atom = Atom::Symbol(Arc::from(name.as_ref()));
        Self::term(vec![(atom, 1)], 1, 0)
    }

    fn term(monomial: Monomial, coefficient: i128, depth: usize) -> Self {
        let mut terms = BTreeMap::new();
        if coefficient != 0 {
            terms.insert(monomial, coefficient);
        }
        Self { terms, depth }
    }

    /// The number, where no symbol is left.
    pub fn as_const(&self) -> Option<i128> {
        match self.terms.len() {
            0 => Some(0),
            1 => self.terms.get(&Vec::new()).copied(),
            _ => None,
        }
    }

    /// The number as `i64`, where it is one and fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.as_const().and_then(|v| i64::try_from(v).ok())
    }

    /// The number as an index or size, where it is one and fits.
    pub fn as_usize(&self) -> Option<usize> {
        self.as_const().and_then(|v| usize::try_from(v).ok())
    }

    /// ⌊self / den⌋. `den` must be positive; the terms that `den` divides
    /// leave the floor.
    pub fn floor_div(&self, den: i64) -> Self {
        let den = i128::from(den.max(1));
        if den == 1 {
            return self.clone();
        }
        if let Some(v) = self.as_const() {
            return Self::from(v.div_euclid(den));
        }
        let (mut whole, mut rest) = (Self::default(), Self::default());
        whole.depth = self.depth;
        rest.depth = self.depth;
        for (m, &c) in &self.terms {
            let (q, r) = (c.div_euclid(den), c.rem_euclid(den));
            if q != 0 && (m.is_empty() || r == 0) {
                whole.terms.insert(m.clone(), q);
            }
            if r != 0 {
                rest.terms
                    .insert(m.clone(), if m.is_empty() { r } else { c });
            }
        }
        if rest.terms.is_empty() || rest.as_const().is_some() {
            return whole;
        }
        // ⌊(⌊x/a⌋ + b) / c⌋ = ⌊(x + a·b) / (a·c)⌋
        if let Some((inner, a, b)) = rest.floor_plus_const()
            && let (Some(product), Some(shift)) = (a.checked_mul(den), a.checked_mul(b))
            && let Ok(product) = i64::try_from(product)
        {
            return whole + (inner + Self::from(shift)).floor_div(product);
        }
        let depth = rest.depth + 1;
        if depth > MAX_DEPTH {
            return whole + Self::symbol(format!("?{den}"));
        }
        whole + Self::term(vec![(Atom::Floor(Arc::new(rest), den), 1)], 1, depth)
    }

    fn floor_plus_const(&self) -> Option<(Self, i128, i128)> {
        let mut found = None;
        let mut shift = 0;
        for (m, &c) in &self.terms {
            match m.as_slice() {
                [] => shift = c,
                [(Atom::Floor(inner, den), 1)] if c == 1 && found.is_none() => {
                    found = Some((inner.as_ref().clone(), *den));
                }
                _ => return None,
            }
        }
        found.map(|(inner, den)| (inner, den, shift))
    }

    /// ⌈self / den⌉.
    pub fn ceil_div(&self, den: i64) -> Self {
        (self.clone() + Self::from(i128::from(den.max(1)) - 1)).floor_div(den)
    }

    /// self / other where that is exact as a polynomial by one term (the case
    /// of `Reshape`'s -1), else `None`.
    pub fn exact_div(&self, other: &Self) -> Option<Self> {
        if self == other {
            return Some(Self::from(1));
        }
        if other.terms.len() != 1 {
            return None;
        }
        let (divisor, &by) = other.terms.iter().next()?;
        let mut out = Self {
            depth: self.depth,
            ..Self::default()
        };
        for (m, &c) in &self.terms {
            if by == 0 || c % by != 0 {
                return None;
            }
            let mut left: BTreeMap<Atom, u32> = m.iter().cloned().collect();
            for (atom, power) in divisor {
                let have = left.get_mut(atom)?;
                *have = have.checked_sub(*power)?;
                if *have == 0 {
                    left.remove(atom);
                }
            }
            out.terms.insert(left.into_iter().collect(), c / by);
        }
        Some(out)
    }

    /// Replaces symbols by numbers; what `lookup` does not know stays.
    pub fn substitute(&self, lookup: &dyn Fn(&str) -> Option<i64>) -> Self {
        let mut sum = Self::default();
        for (m, &c) in &self.terms {
            let mut product = Self::from(c);
            for (atom, power) in m {
                let factor = match atom {
                    Atom::Symbol(name) => {
                        lookup(name).map_or_else(|| Self::symbol(name), Self::from)
                    }
                    Atom::Floor(inner, den) => inner
                        .substitute(lookup)
                        .floor_div(i64::try_from(*den).unwrap_or(i64::MAX)),
                };
                for _ in 0..*power {
                    product = product * factor.clone();
                }
            }
            sum += product;
        }
        sum
    }

    /// A lower bound, where every symbol of the model is a size of at least 1;
    /// `None` where none is known. Symbols for what is not known (`?…`) have none.
    pub fn at_least(&self) -> Option<i128> {
        let mut sum = 0i128;
        for (m, &c) in &self.terms {
            if c < 0 && !m.is_empty() {
                return None;
            }
            let mut product = c;
            for (atom, power) in m {
                let low = match atom {
                    Atom::Symbol(name) if name.starts_with('?') => return None,
                    Atom::Symbol(_) => 1,
                    Atom::Floor(inner, den) => inner.at_least()?.div_euclid(*den),
                };
                if low < 0 {
                    return None;
                }
                product = product.saturating_mul(low.saturating_pow(*power));
            }
            sum = sum.saturating_add(product);
        }
        Some(sum)
    }

    /// The names of the symbols inside, sorted, without repetition.
    pub fn symbols(&self) -> Vec<String> {
        let mut names = std::collections::BTreeSet::new();
        self.collect_symbols(&mut names);
        names.into_iter().collect()
    }

    fn collect_symbols(&self, into: &mut std::collections::BTreeSet<String>) {
        for (atom, _) in self.terms.keys().flatten() {
            match atom {
                Atom::Symbol(name) => {
                    into.insert(name.to_string());
                }
                Atom::Floor(inner, _) => inner.collect_symbols(into),
            }
        }
    }

    fn bounded(self) -> Self {
        if self.terms.len() > MAX_TERMS {
            Self::symbol("?large")
        } else {
            self
        }
    }
}

macro_rules! from_int {
    ($($t:ty),*) => {$(
        impl From<$t> for Expr {
            fn from(v: $t) -> Self {
                Self::term(Vec::new(), i128::try_from(v).unwrap_or(i128::MAX), 0)
            }
        }
    )*};
}
from_int!(i32, u32, i64, u64, usize, i128);

impl AddAssign for Expr {
    fn add_assign(&mut self, other: Self) {
        self.depth = self.depth.max(other.depth);
        for (m, c) in other.terms {
            let sum = self.terms.get(&m).copied().unwrap_or(0).saturating_add(c);
            if sum == 0 {
                self.terms.remove(&m);
            } else {
                self.terms.insert(m, sum);
            }
        }
        if self.terms.len() > MAX_TERMS {
            *self = std::mem::take(self).bounded();
        }
    }
}

impl Add for Expr {
    type Output = Self;
    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl Sub for Expr {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + other * Self::from(-1)
    }
}

impl Mul for Expr {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let mut out = Self {
            depth: self.depth.max(other.depth),
            ..Self::default()
        };
        for (a, &x) in &self.terms {
            for (b, &y) in &other.terms {
                let mut powers: BTreeMap<Atom, u32> = a.iter().cloned().collect();
                for (atom, p) in b {
                    let e = powers.entry(atom.clone()).or_default();
                    *e = e.saturating_add(*p);
                }
                let monomial: Monomial = powers.into_iter().collect();
                let c = out
                    .terms
                    .get(&monomial)
                    .copied()
                    .unwrap_or(0)
                    .saturating_add(x.saturating_mul(y));
                if c == 0 {
                    out.terms.remove(&monomial);
                } else {
                    out.terms.insert(monomial, c);
                }
            }
            if out.terms.len() > MAX_TERMS {
                return out.bounded();
            }
        }
        out
    }
}

impl std::iter::Sum for Expr {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), Add::add)
    }
}

impl std::iter::Product for Expr {
    fn product<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::from(1), Mul::mul)
    }
}

impl<'a> std::iter::Product<&'a Expr> for Expr {
    fn product<I: Iterator<Item = &'a Self>>(iter: I) -> Self {
        iter.cloned().product()
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Symbol(name) => write!(f, "{name}"),
            Self::Floor(inner, den) => write!(f, "floor(({inner})/{den})"),
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.terms.is_empty() {
            return write!(f, "0");
        }
        for (i, (m, &c)) in self.terms.iter().rev().enumerate() {
            let sign = match (i, c < 0) {
                (0, false) => "",
                (0, true) => "-",
                (_, false) => " + ",
                (_, true) => " - ",
            };
            write!(f, "{sign}")?;
            let size = c.unsigned_abs();
            if size != 1 || m.is_empty() {
                write!(f, "{size}")?;
                if !m.is_empty() {
                    write!(f, "*")?;
                }
            }
            for (j, (atom, p)) in m.iter().enumerate() {
                let dot = if j > 0 { "*" } else { "" };
                write!(f, "{dot}{atom}")?;
                if *p > 1 {
                    write!(f, "^{p}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(e: &Expr, h: i64) -> Option<i64> {
        e.substitute(&|s| (s == "H").then_some(h)).as_i64()
    }

    #[test]
    fn floors_agree_with_numbers() {
        let h = Expr::symbol("H");
        for (a, b, c, d) in [(1, 2, 3, 2), (0, 4, 1, 3), (5, 3, -2, 7), (-1, 2, 1, 2)] {
            let e = ((h.clone() + a.into()).floor_div(b) + c.into()).floor_div(d);
            for v in 0..100 {
                assert_eq!(
                    at(&e, v),
                    Some(((v + a).div_euclid(b) + c).div_euclid(d)),
                    "{e} at {v}"
                );
            }
        }
    }

    #[test]
    fn terms_that_divide_leave_the_floor() {
        let e = (Expr::symbol("H") * 4.into() + 7.into()).floor_div(2);
        assert_eq!(e.to_string(), "2*H + 3");
    }

    #[test]
    fn reshape_minus_one_divides() {
        let n = Expr::symbol("N");
        let all = n.clone() * 64.into() * 49.into();
        assert_eq!(all.exact_div(&n), Some(3136.into()));
        assert_eq!(all.exact_div(&3136.into()), Some(n));
        assert_eq!(all.exact_div(&Expr::symbol("M")), None);
    }

    #[test]
    fn hostile_sizes_saturate() {
        let big = Expr::from(i64::MAX);
        let huge: Expr = std::iter::repeat_n(big, 9).product();
        assert_eq!(huge.as_const(), Some(i128::MAX));
        assert_eq!(huge.as_i64(), None);
    }
}
