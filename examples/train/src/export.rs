//! The trained network as an ONNX model, as an exporter that folds nothing would
//! write it: BatchNormalization stays a node, and one bias is an `Add`.

use candle_core::{Result, Tensor};
use compiler::onnx::schema::{ModelProto, StringStringEntryProto};
use glyphs::{CLASSES, SIDE};
use netbuilder::{Builder, Dim, float, int, ints};

use crate::network::{Convolution, EPSILON, Network, Normalization};

/// The model: `image` (N, 1, 28, 28), levels 0 to 255, to `logits` (N, 10).
pub fn model(network: &Network) -> Result<ModelProto> {
    let side = Dim::Size(SIDE as i64);
    let shape = [Dim::Symbol("N"), Dim::Size(1), side, side];
    let mut net = Builder::new("glyphs", "image", &shape);
    let x = scaled(&mut net, "image");

    let x = convolution(&mut net, "stem", &x, &network.stem, None)?;
    let x = normalization(&mut net, "stem_norm", &x, &network.stem_norm)?;
    let x = net.node("Relu", "stem_relu", &[&x], vec![]);
    let x = max_pool(&mut net, "stem_pool", &x);

    let x = convolution(&mut net, "middle", &x, &network.middle, None)?;
    let x = normalization(&mut net, "middle_norm", &x, &network.middle_norm)?;
    let x = net.node("Relu", "middle_relu", &[&x], vec![]);
    let x = max_pool(&mut net, "middle_pool", &x);

    let x = convolution(&mut net, "deep", &x, &network.deep, None)?;
    let bias = network.deep_bias.reshape(((), 1, 1))?;
    let bias = weights(&mut net, "deep.bias", &bias)?;
    let x = net.node("Add", "deep_add", &[&x, &bias], vec![]);
    let x = net.node("Relu", "deep_relu", &[&x], vec![]);

    let x = convolution(
        &mut net,
        "last",
        &x,
        &network.last,
        Some(network.last_bias.as_tensor()),
    )?;
    let x = net.node("Relu", "last_relu", &[&x], vec![]);

    let x = net.node("GlobalAveragePool", "average", &[&x], vec![]);
    let x = net.node("Flatten", "features", &[&x], vec![int("axis", 1)]);
    let weight = weights(&mut net, "classifier.weight", &network.classifier)?;
    let bias = weights(&mut net, "classifier.bias", &network.classifier_bias)?;
    let x = net.node(
        "Gemm",
        "logits",
        &[&x, &weight, &bias],
        vec![int("transB", 1)],
    );

    let classes = Dim::Size(CLASSES.len() as i64);
    let mut model = net.finish(&x, &[Dim::Symbol("N"), classes]);
    model.metadata_props = vec![StringStringEntryProto {
        key: Some("classes".into()),
        value: Some(CLASSES.join(",")),
    }];
    Ok(model)
}

/// Grey levels to 0..1.
fn scaled(net: &mut Builder, image: &str) -> String {
    let factor = net.weights("scale.factor", &[], vec![1.0 / 255.0]);
    net.node("Mul", "scale", &[image, &factor], vec![])
}

fn convolution(
    net: &mut Builder,
    name: &str,
    input: &str,
    convolution: &Convolution,
    bias: Option<&Tensor>,
) -> Result<String> {
    let size = convolution.kernel.dim(3)? as i64;
    let weight = weights(net, &format!("{name}.weight"), &convolution.kernel)?;
    let mut inputs = vec![input.to_owned(), weight];
    if let Some(bias) = bias {
        inputs.push(weights(net, &format!("{name}.bias"), bias)?);
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let attributes = vec![
        ints("kernel_shape", &[size, size]),
        ints("pads", &[size / 2; 4]),
    ];
    Ok(net.node("Conv", name, &inputs, attributes))
}

fn normalization(
    net: &mut Builder,
    name: &str,
    input: &str,
    norm: &Normalization,
) -> Result<String> {
    let scale = weights(net, &format!("{name}.scale"), &norm.scale)?;
    let shift = weights(net, &format!("{name}.shift"), &norm.shift)?;
    let mean = weights(net, &format!("{name}.mean"), &norm.mean)?;
    let variance = weights(net, &format!("{name}.variance"), &norm.variance)?;
    let inputs = [input, &scale, &shift, &mean, &variance];
    let attributes = vec![float("epsilon", EPSILON as f32)];
    Ok(net.node("BatchNormalization", name, &inputs, attributes))
}

fn max_pool(net: &mut Builder, name: &str, input: &str) -> String {
    let attributes = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
    net.node("MaxPool", name, &[input], attributes)
}

fn weights(net: &mut Builder, name: &str, tensor: &Tensor) -> Result<String> {
    let shape: Vec<i64> = tensor.dims().iter().map(|&size| size as i64).collect();
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    Ok(net.weights(name, &shape, values))
}
