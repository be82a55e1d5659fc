//! Checks of the tree itself. Each returns its complaints; all are printed before the chore fails.

mod arrows;
mod cases;
mod files;
mod links;
mod places;

use anyhow::bail;

use crate::shell::{output, root, say};

/// Runs every check.
pub(crate) fn run() -> anyhow::Result<()> {
    let tracked = output("git", &["ls-files", "--cached", "--others", "--exclude-standard"])?;
    let tracked: Vec<&str> = tracked.lines().filter(|path| root().join(path).is_file()).collect();
    let mut complaints = arrows::check()?;
    complaints.extend(files::check(&tracked)?);
    complaints.extend(links::check(&tracked)?);
    complaints.extend(places::check(&tracked)?);
    complaints.extend(cases::check()?);
    for complaint in &complaints {
        say(complaint);
    }
    if !complaints.is_empty() {
        bail!("{} untidy places", complaints.len());
    }
    Ok(())
}
