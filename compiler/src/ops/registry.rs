//! The list of operators.

use super::{Gap, Operator};
use crate::ir::Node;

/// Reads the attributes of a node as of an opset version.
pub type Parse = fn(&Node, i64) -> Result<Box<dyn Operator>, Gap>;

/// One operator of the registry.
pub struct Op {
    /// Name in the standard.
    pub name: &'static str,
    /// Operator set; empty for the standard one.
    pub domain: &'static str,
    /// Reads the attributes as of an opset version.
    pub parse: Parse,
}

/// One line a module: the operators that its `parse` reads. Those of the
/// standard's main set come first, other operator sets in a block of their own.
macro_rules! ops {
    (
        $($module:ident: $($name:ident)+;)*
        $($domain:literal { $($other:ident: $($theirs:ident)+;)* })*
    ) => {
        /// All operators that the tool knows.
        pub static OPS: &[Op] = &[
            $($(Op {
                name: stringify!($name),
                domain: "",
                parse: super::$module::parse,
            },)+)*
            $($($(Op {
                name: stringify!($theirs),
                domain: $domain,
                parse: super::$other::parse,
            },)+)*)*
        ];
    };
}

ops! {
    activations: Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Ceil Celu Cos Cosh Elu Erf Exp Floor
        Gelu HardSigmoid HardSwish IsInf IsNaN LeakyRelu Log Mish Neg Not ParametricSoftplus
        Reciprocal Relu Round ScaledTanh Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt
        Swish Tan Tanh ThresholdedRelu;
    along: ArgMax ArgMin BitCast CumProd CumSum OneHot ReverseSequence TopK Trilu;
    arithmetic: Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual
        Less LessOrEqual Mod Mul Or PRelu Pow Sub Xor;
    attention: Attention;
    batch_norm: BatchNormalization;
    causal_conv: CausalConvWithState;
    center_crop_pad: CenterCropPad;
    clip: Clip;
    col2im: Col2Im;
    concat: Concat;
    constant: Constant;
    control: If Loop Scan;
    conv: Conv;
    conv_transpose: ConvTranspose;
    deform_conv: DeformConv;
    depth_space: DepthToSpace SpaceToDepth;
    det: Det;
    einsum: Einsum;
    expand: Expand Tile;
    gated: RotaryEmbedding SwiGLU;
    gather: Gather GatherElements GatherND;
    gemm: Gemm;
    generate: Bernoulli ConstantOfShape EyeLike Multinomial RandomNormal RandomNormalLike
        RandomUniform RandomUniformLike Range;
    global_pool: GlobalAveragePool GlobalLpPool GlobalMaxPool;
    grid_sample: AffineGrid GridSample;
    identity: Cast CastLike Dropout Identity;
    legacy: Affine Crop ImageScaler Scale;
    loss: NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss;
    lrn: LRN;
    matmul: MatMul MatMulInteger QLinearMatMul;
    max_unpool: MaxUnpool;
    norm: GroupNormalization InstanceNormalization LayerNormalization LpNormalization
        MeanVarianceNormalization RMSNormalization SimplifiedLayerNormalization;
    pad: Pad;
    pool: AveragePool LpPool MaxPool;
    quant_conv: ConvInteger QLinearConv;
    quantize: DequantizeLinear DynamicQuantizeLinear QuantizeLinear;
    recurrent: GRU LSTM RNN;
    reduce: ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
        ReduceProd ReduceSum ReduceSumSquare;
    reshape: Flatten Reshape Squeeze Unsqueeze;
    resize: Resize Upsample;
    roi: MaxRoiPool RoiAlign;
    scatter: Scatter ScatterElements ScatterND TensorScatter;
    selection: Compress NonMaxSuppression NonZero Unique;
    sequence: ConcatFromSequence Optional OptionalGetElement OptionalHasElement SequenceAt
        SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap
        SplitToSequence;
    shape: Shape Size;
    signal: BlackmanWindow DFT HammingWindow HannWindow MelWeightMatrix STFT;
    slice: Slice;
    softmax: Hardmax LogSoftmax Softmax;
    split: Split;
    text: RegexFullMatch StringConcat StringNormalizer StringSplit TfIdfVectorizer;
    transpose: Transpose;
    variadic: Max Mean Min Sum Where;

    "com.microsoft" {
        contrib_concat: QLinearConcat;
        contrib_elementwise: BiasGelu FastGelu Gelu QLinearAdd QLinearLeakyRelu QLinearMul
            QLinearSigmoid QLinearSoftmax QuickGelu;
        contrib_pool: NhwcMaxPool QLinearAveragePool QLinearGlobalAveragePool;
        gemm: FusedGemm QGemm;
        matmul: DynamicQuantizeMatMul FusedMatMul MatMulIntegerToFloat;
        norm: GroupNorm SkipLayerNormalization SkipSimplifiedLayerNormalization;
        quant_conv: FusedConv QLinearConv;
        quantize: DequantizeLinear QuantizeLinear;
    }
}

/// Finds an operator.
pub fn find(domain: &str, name: &str) -> Option<&'static Op> {
    let domain = if domain == "ai.onnx" { "" } else { domain };
    OPS.iter().find(|op| op.domain == domain && op.name == name)
}
