//! Fits a chain of two square kernels to one layer and says how long it took: to be
//! held against other fits of the same layer (`.ci/oracles/fits.py`, `.ci/fit_times.py`).
//!
//! Arguments: `OUT IN KERNEL FIRST LAST CHANNELS SAMPLES HEIGHT WIDTH PAD_BEGIN PAD_END
//! STARTS TOLERANCE STEPS DIR`, `CHANNELS` those between the two. The directory holds `kernel.f64` `(out, in, k, k)` and
//! `input.f32` `(samples, in, height, width)`, little-endian; the factors are
//! written to `first.f64` and `last.f64`, one line of seconds, relative output error
//! and steps to standard output.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Instant;

use compiler::fit::{FactorShape, Form, Kernel, Metric, Moments, Options, Seen, Window, factorize};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| -> Result<usize, Box<dyn Error>> {
        let text = arguments.get(i).ok_or("too few arguments")?;
        Ok(text.parse()?)
    };
    let (out, inp, k) = (number(0)?, number(1)?, number(2)?);
    let (first, last, width) = (number(3)?, number(4)?, number(5)?);
    let shape = [number(6)?, inp, number(7)?, number(8)?];
    let dir = Path::new(arguments.get(14).ok_or("too few arguments")?);
    let kernel = read(&dir.join("kernel.f64"), f64::from_le_bytes)?;
    let input = read(&dir.join("input.f32"), f32::from_le_bytes)?;

    let kernel = Kernel::new(out, inp, vec![k, k], 1, kernel)?;
    let window = Window {
        pads_begin: vec![number(9)?; 2],
        pads_end: vec![number(10)?; 2],
        stride: vec![1; 2],
        dilation: vec![1; 2],
    };
    let mut moments = Moments::new(&kernel);
    moments.accumulate(&window, &[Seen::new(&shape, &input)])?;
    let form = Form {
        factors: vec![
            FactorShape::new(vec![first; 2], width, 1),
            FactorShape::new(vec![last; 2], out, 1),
        ],
    };
    let options = Options {
        metric: Metric::Data(&moments),
        starts: number(11)?,
        tolerance: arguments[12].parse()?,
        iterations: number(13)?,
        noise: 1e-3,
        ..Options::default()
    };
    let begin = Instant::now();
    let fit = factorize(&kernel, &form, &options)?;
    let seconds = begin.elapsed().as_secs_f64();

    for (name, factor) in ["first.f64", "last.f64"].iter().zip(&fit.factors) {
        let bytes: Vec<u8> = factor.data.iter().flat_map(|w| w.to_le_bytes()).collect();
        fs::write(dir.join(name), bytes)?;
    }
    let error = fit.output_error.ok_or("no error is known")?;
    println!("{seconds} {error} {}", fit.iterations);
    Ok(())
}

/// The numbers of a file.
fn read<T, const N: usize>(path: &Path, number: fn([u8; N]) -> T) -> std::io::Result<Vec<T>> {
    let bytes = fs::read(path)?;
    let (numbers, _) = bytes.as_chunks::<N>();
    Ok(numbers.iter().map(|&n| number(n)).collect())
}
