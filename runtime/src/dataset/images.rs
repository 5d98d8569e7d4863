//! A folder of images, one subfolder a class.

use std::fs;
use std::path::{Path, PathBuf};

use super::DataError;
use super::preprocess::Sample;

/// Image files in a fixed order, with their classes.
pub(super) struct Folder {
    pub files: Vec<PathBuf>,
    pub labels: Option<Vec<i64>>,
}

/// Lists the images of `path`; `None` where there are none.
///
/// Subfolders are classes. If all are called by numbers these are the labels,
/// else the labels count the names in alphabetical order from 0. Images beside
/// subfolders are not read; without subfolders there are no labels.
pub(super) fn list(path: &str) -> Result<Option<Folder>, DataError> {
    let (folders, files) = entries(Path::new(path))?;
    let mut classes = Vec::new();
    for folder in folders {
        let (_, files) = entries(&folder)?;
        let images: Vec<PathBuf> = files.into_iter().filter(|f| is_image(f)).collect();
        if !images.is_empty() {
            classes.push((name(&folder), images));
        }
    }
    if classes.is_empty() {
        let files: Vec<PathBuf> = files.into_iter().filter(|f| is_image(f)).collect();
        return Ok((!files.is_empty()).then_some(Folder {
            files,
            labels: None,
        }));
    }
    let numbers: Option<Vec<i64>> = classes.iter().map(|(name, _)| name.parse().ok()).collect();
    let numbers = numbers.unwrap_or_else(|| (0..).take(classes.len()).collect());
    let (mut files, mut labels) = (Vec::new(), Vec::new());
    for ((_, images), label) in classes.into_iter().zip(numbers) {
        labels.resize(labels.len() + images.len(), label);
        files.extend(images);
    }
    Ok(Some(Folder {
        files,
        labels: Some(labels),
    }))
}

/// Folders and files of `path`, each in alphabetical order, hidden ones left out.
fn entries(path: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), DataError> {
    let open = |source| DataError::Open {
        path: path.display().to_string(),
        source,
    };
    let mut paths = fs::read_dir(path)
        .map_err(open)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<PathBuf>, _>>()
        .map_err(open)?;
    paths.retain(|p| !name(p).starts_with('.'));
    paths.sort();
    Ok(paths.into_iter().partition(|p| p.is_dir()))
}

fn name(path: &Path) -> String {
    path.file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Whether a file's name says that it is an image.
pub(super) fn is_image(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg"))
}

/// Decodes an image: red, green and blue, 0 to 255, channel by channel.
pub(super) fn read(path: &Path) -> Result<Sample, DataError> {
    let refuse = |cause: String| DataError::Image {
        path: path.display().to_string(),
        cause,
    };
    let mut reader = image::ImageReader::open(path)
        .and_then(image::ImageReader::with_guessed_format)
        .map_err(|e| refuse(e.to_string()))?;
    reader.limits(image::Limits::default());
    let pixels = reader
        .decode()
        .map_err(|e| refuse(e.to_string()))?
        .into_rgb8();
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    let raw = pixels.into_raw();
    let data = (0..3)
        .flat_map(|c| raw.iter().skip(c).step_by(3).map(|&b| b.into()))
        .collect();
    Ok(Sample {
        shape: vec![3, height, width],
        data,
    })
}
