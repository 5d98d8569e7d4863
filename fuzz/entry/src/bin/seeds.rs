//! Writes the seeds of every fuzz target into `FOLDER/TARGET/`.

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let folder = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "fuzz/corpus".into());
    for entry in fuzz_entry::ENTRIES {
        let folder = PathBuf::from(&folder).join(entry.name);
        std::fs::create_dir_all(&folder)?;
        for (index, seed) in (entry.seeds)().into_iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{index}")), seed)?;
        }
    }
    Ok(())
}
