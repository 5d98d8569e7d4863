//! Samples as an `.npz` file: `images` uint8 (N, 1, 28, 28), `labels` int64 (N).

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Write},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use npyz::{NpyFile, WriterBuilder, npz::file_name_from_array_name};
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

use crate::{SIDE, Sample};

/// Writes `samples` to the file `path`, deflated. The same samples give the same
/// bytes: entries carry no time.
///
/// # Errors
/// If the file cannot be written; the message names it.
pub fn write(path: &Path, samples: &[Sample]) -> Result<()> {
    let written = || -> Result<()> {
        let mut archive = ZipWriter::new(BufWriter::new(File::create(path)?));
        let count = samples.len() as u64;
        let side = SIDE as u64;
        let images = samples
            .iter()
            .flat_map(|sample| sample.image.iter().copied());
        array(&mut archive, "images", &[count, 1, side, side], images)?;
        let labels = samples.iter().map(|sample| sample.label as i64);
        array(&mut archive, "labels", &[count], labels)?;
        archive.finish()?.flush()?;
        Ok(())
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}

fn array<T: npyz::AutoSerialize>(
    archive: &mut ZipWriter<BufWriter<File>>,
    name: &str,
    shape: &[u64],
    elements: impl Iterator<Item = T>,
) -> Result<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9));
    archive.start_file(file_name_from_array_name(name), options)?;
    let mut npy = npyz::WriteOptions::new()
        .default_dtype()
        .shape(shape)
        .writer(archive)
        .begin_nd()?;
    npy.extend(elements)?;
    npy.finish()?;
    Ok(())
}

/// Reads samples that [`write`] wrote.
///
/// # Errors
/// If the file cannot be read or holds arrays of other names, types or shapes;
/// the message names the file.
pub fn read(path: &Path) -> Result<Vec<Sample>> {
    let read = || -> Result<Vec<Sample>> {
        let mut archive = ZipArchive::new(BufReader::new(File::open(path)?))?;
        let images = NpyFile::new(archive.by_name(&file_name_from_array_name("images"))?)?;
        let shape = images.shape().to_vec();
        let side = SIDE as u64;
        ensure!(
            matches!(shape[..], [_, 1, height, width] if height == side && width == side),
            "images have shape {shape:?}, expected (N, 1, {SIDE}, {SIDE})"
        );
        let images: Vec<u8> = images.into_vec()?;
        let labels = NpyFile::new(archive.by_name(&file_name_from_array_name("labels"))?)?;
        let labels = labels.data::<i64>()?.collect::<io::Result<Vec<i64>>>()?;
        ensure!(
            labels.len() as u64 == shape[0],
            "{} labels for {} images",
            labels.len(),
            shape[0]
        );
        let samples = images.chunks_exact(SIDE * SIDE).zip(labels);
        samples
            .map(|(image, label)| {
                Ok(Sample {
                    image: image.to_vec(),
                    label: usize::try_from(label).context("negative label")?,
                })
            })
            .collect()
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}
