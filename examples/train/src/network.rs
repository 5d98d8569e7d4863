//! The network: a 7x7 stem, two 5x5 and one 3x3 convolution, global average.
//!
//! Activations have shape (C, N, H, W), channels outermost, so that a convolution
//! is one matrix product over the whole batch. The exported model has the usual
//! (N, C, H, W).

use candle_core::{Device, Result, Tensor, Var};
use rand_pcg::{Pcg64Mcg, rand_core::Rng};

use crate::patches::Window;

/// Added to the variance in batch normalization.
pub const EPSILON: f64 = 1e-5;
/// Share of a batch in the running statistics.
const MOMENTUM: f64 = 0.05;

/// A stride-1 convolution that keeps height and width.
pub struct Convolution {
    /// Shape (Cout, Cin, k, k).
    pub kernel: Var,
}

/// Batch normalization over all but the channel axis; every field has shape (C).
pub struct Normalization {
    /// Learned factor.
    pub scale: Var,
    /// Learned offset.
    pub shift: Var,
    /// Running mean, for inference.
    pub mean: Var,
    /// Running variance, for inference.
    pub variance: Var,
}

/// All parameters and buffers.
pub struct Network {
    /// 7x7, 1 to 16 channels, at 28x28.
    pub stem: Convolution,
    pub stem_norm: Normalization,
    /// 5x5, 16 to 24 channels, at 14x14.
    pub middle: Convolution,
    pub middle_norm: Normalization,
    /// 5x5, 24 to 32 channels, at 7x7.
    pub deep: Convolution,
    pub deep_bias: Var,
    /// 3x3, 32 to 48 channels, at 7x7.
    pub last: Convolution,
    pub last_bias: Var,
    /// Shape (10, 48).
    pub classifier: Var,
    pub classifier_bias: Var,
}

/// Whether batch normalization uses the batch's statistics or the running ones.
#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    Train,
    Infer,
}

impl Convolution {
    fn new(out: usize, channels: usize, size: usize, random: &mut Pcg64Mcg) -> Result<Self> {
        let fan_in = channels * size * size;
        let kernel = normal(
            (out, channels, size, size),
            (2.0 / fan_in as f64).sqrt(),
            random,
        )?;
        Ok(Self { kernel })
    }

    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let (channels, count, height, width) = images.dims4()?;
        let (out, _, size, _) = self.kernel.dims4()?;
        let window = Window {
            size,
            stride: 1,
            padding: size / 2,
        };
        let kernel = self.kernel.reshape((out, channels * size * size))?;
        kernel
            .matmul(&window.patches(images)?)?
            .reshape((out, count, height, width))
    }
}

impl Normalization {
    fn new(channels: usize) -> Result<Self> {
        Ok(Self {
            scale: constant(1.0, channels)?,
            shift: constant(0.0, channels)?,
            mean: constant(0.0, channels)?,
            variance: constant(1.0, channels)?,
        })
    }

    fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor> {
        let shape = images.dims4()?;
        let column = (shape.0, 1);
        let flat = images.reshape((shape.0, ()))?;
        let (mean, variance) = match mode {
            Mode::Train => {
                let mean = flat.mean_keepdim(1)?;
                let variance = flat.broadcast_sub(&mean)?.sqr()?.mean_keepdim(1)?;
                self.remember(&mean, &variance, flat.dim(1)?)?;
                (mean, variance)
            }
            Mode::Infer => (self.mean.reshape(column)?, self.variance.reshape(column)?),
        };
        let factor = (self.scale.reshape(column)? / (variance + EPSILON)?.sqrt()?)?;
        let offset = (self.shift.reshape(column)? - (mean * &factor)?)?;
        flat.broadcast_mul(&factor)?
            .broadcast_add(&offset)?
            .reshape(shape)
    }

    /// Moves the running statistics towards a batch's; the variance unbiased.
    fn remember(&self, mean: &Tensor, variance: &Tensor, count: usize) -> Result<()> {
        let unbiased = (variance.detach() * (count as f64 / (count - 1) as f64))?;
        for (running, batch) in [(&self.mean, mean.detach()), (&self.variance, unbiased)] {
            let kept = (running.as_detached_tensor() * (1.0 - MOMENTUM))?;
            running.set(&(kept + (batch.flatten_all()? * MOMENTUM)?)?)?;
        }
        Ok(())
    }
}

impl Network {
    /// A network of random weights (He et al. 2015), the same for the same seed.
    pub fn new(seed: u64) -> Result<Self> {
        let random = &mut Pcg64Mcg::new(u128::from(seed));
        Ok(Self {
            stem: Convolution::new(16, 1, 7, random)?,
            stem_norm: Normalization::new(16)?,
            middle: Convolution::new(24, 16, 5, random)?,
            middle_norm: Normalization::new(24)?,
            deep: Convolution::new(32, 24, 5, random)?,
            deep_bias: constant(0.0, 32)?,
            last: Convolution::new(48, 32, 3, random)?,
            last_bias: constant(0.0, 48)?,
            classifier: normal((glyphs::CLASSES.len(), 48), 48f64.sqrt().recip(), random)?,
            classifier_bias: constant(0.0, glyphs::CLASSES.len())?,
        })
    }

    /// Kernels, the parameters that weight decay holds small.
    pub fn kernels(&self) -> Vec<Var> {
        [&self.stem, &self.middle, &self.deep, &self.last]
            .map(|convolution| convolution.kernel.clone())
            .into_iter()
            .chain([self.classifier.clone()])
            .collect()
    }

    /// Factors and offsets, which it leaves alone.
    pub fn offsets(&self) -> Vec<Var> {
        [&self.stem_norm, &self.middle_norm]
            .into_iter()
            .flat_map(|norm| [norm.scale.clone(), norm.shift.clone()])
            .chain([&self.deep_bias, &self.last_bias, &self.classifier_bias].map(Var::clone))
            .collect()
    }

    /// Logits, shape (N, 10), of `images`, shape (1, N, 28, 28), levels 0 to 255.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor> {
        let x = (images * (1.0 / 255.0))?;
        let x = self
            .stem_norm
            .forward(&self.stem.forward(&x)?, mode)?
            .relu()?;
        let x = max_pool(&x)?;
        let x = self
            .middle_norm
            .forward(&self.middle.forward(&x)?, mode)?
            .relu()?;
        let x = max_pool(&x)?;
        let x = add_bias(&self.deep.forward(&x)?, &self.deep_bias)?.relu()?;
        let x = add_bias(&self.last.forward(&x)?, &self.last_bias)?.relu()?;
        let features = x.mean((2, 3))?;
        self.classifier
            .matmul(&features)?
            .t()?
            .broadcast_add(&self.classifier_bias)
    }
}

fn add_bias(images: &Tensor, bias: &Var) -> Result<Tensor> {
    images.broadcast_add(&bias.reshape(((), 1, 1, 1))?)
}

/// 2x2 maxima. Ties, all of them zeros after a rectifier, pass no gradient on.
fn max_pool(images: &Tensor) -> Result<Tensor> {
    let (channels, count, height, width) = images.dims4()?;
    let window = Window {
        size: 2,
        stride: 2,
        padding: 0,
    };
    window
        .patches(images)?
        .reshape((channels, 4, ()))?
        .max(1)?
        .reshape((channels, count, height / 2, width / 2))
}

fn constant(value: f32, length: usize) -> Result<Var> {
    Var::from_vec(vec![value; length], length, &Device::Cpu)
}

/// Normally distributed weights (Box and Muller).
fn normal(
    shape: impl Into<candle_core::Shape>,
    deviation: f64,
    random: &mut Pcg64Mcg,
) -> Result<Var> {
    let shape = shape.into();
    let mut unit = || (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    let weights = (0..shape.elem_count())
        .map(|_| {
            let radius = (-2.0 * (1.0 - unit()).ln()).sqrt();
            (deviation * radius * (std::f64::consts::TAU * unit()).cos()) as f32
        })
        .collect();
    Var::from_vec(weights, shape, &Device::Cpu)
}
