//! The narrowest middle of a chain that loses nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::site::Candidate;
use crate::fit::{self, Form, Kernel};

/// Lossless widths of the convolutions of a chain, searched once each.
pub(super) struct Lossless {
    /// The convolutions' own weights, by site. A fold that scales their output
    /// channels does not change the width.
    kernels: HashMap<u32, Arc<Kernel>>,
    known: Mutex<HashMap<(u32, Form), Option<usize>>>,
}

impl Lossless {
    pub fn new(kernels: HashMap<u32, Arc<Kernel>>) -> Self {
        Self {
            kernels,
            known: Mutex::default(),
        }
    }

    /// Narrows a candidate that is lossless by construction, where its kernel is
    /// at hand.
    pub fn narrow(&self, site: u32, candidate: &mut Candidate) {
        let Some(kernel) = self.kernels.get(&site) else {
            return;
        };
        let key = (site, candidate.form.clone());
        let known = self.known.lock().ok().and_then(|k| k.get(&key).copied());
        let width = known.unwrap_or_else(|| self.search(kernel, key));
        if let Some(form) = width.and_then(|w| at(&candidate.form, w, kernel)) {
            candidate.form = form;
        }
    }

    fn search(&self, kernel: &Kernel, key: (u32, Form)) -> Option<usize> {
        let form = &key.1;
        let widest = form.factors.first()?.width;
        let options = fit::Options::default();
        let found = fit::factorize_exact(kernel, widest, |w| at(form, w, kernel), &options);
        let width = found.ok().flatten().map(|(width, _)| width);
        if let Ok(mut known) = self.known.lock() {
            known.insert(key, width);
        }
        width
    }
}

/// The form with this width between its factors, if it can be one of the kernel.
fn at(form: &Form, width: usize, kernel: &Kernel) -> Option<Form> {
    let mut form = form.clone();
    let middle = form.factors.len().checked_sub(1)?;
    let factors = form.factors[..middle].iter_mut();
    factors.for_each(|f| f.width = width);
    form.check(kernel).is_ok().then_some(form)
}
