//! A real agent to run: the published Node Exporter when its registry answers, otherwise Debian's, packed under its name.

use std::fs;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::archive::{Image, pack};
use crate::exists;

/// The image that Pods name.
pub const REFERENCE: &str = "quay.io/prometheus/node-exporter:v1.9.1";
const REGISTRY: &str = "quay.io:443";
const REGISTRY_PATIENCE: Duration = Duration::from_secs(2);

/// Debian packages that make up the stand-in, and the shared libraries that the program needs.
const PACKAGES: &[&str] = &["prometheus-node-exporter", "busybox-static"];
const TOOLS: &[&str] = &["sh", "ls", "cat", "ps", "kill", "wget", "env", "id", "hostname", "sleep", "mount", "ip"];

/// Sees to it that nodes with `images` as their archive folder can run [`REFERENCE`], and says how.
///
/// # Errors
/// When neither the registry nor Debian's packages can be had.
pub fn provide(images: &Path) -> anyhow::Result<String> {
    if registry_answers() {
        return Ok(format!("{REFERENCE} is pulled by each node"));
    }
    let packed = stand_in(images).with_context(|| {
        format!("{REGISTRY} does not answer: put an image archive of {REFERENCE} into {}", images.display())
    });
    packed.map(|what| format!("{REGISTRY} does not answer: {what}"))
}

/// The same without the registry: for tests, which must not hang on what is pulled while they run.
///
/// # Errors
/// When Debian's packages cannot be had.
pub fn stand_in(images: &Path) -> anyhow::Result<String> {
    if !exists("apt-get") || !exists("dpkg-deb") {
        bail!("this is no Debian: no package of it can be had");
    }
    let work = images.with_extension("work");
    let root = work.join("root");
    fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
    let packed = fill(&work, &root).and_then(|()| {
        let entrypoint = &["/bin/node_exporter"];
        let image = Image { reference: REFERENCE, entrypoint, user: "65534:65534" };
        fs::create_dir_all(images).with_context(|| format!("cannot make {}", images.display()))?;
        pack(&root, &image, &images.join("node-exporter.tar"))
    });
    let removed = fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()));
    packed.and(removed)?;
    Ok(format!("packed Debian's prometheus-node-exporter as {REFERENCE}"))
}

fn registry_answers() -> bool {
    let addresses = REGISTRY.to_socket_addrs().into_iter().flatten();
    addresses.take(1).any(|address| TcpStream::connect_timeout(&address, REGISTRY_PATIENCE).is_ok())
}

/// Unpacks the packages and takes over just what the image needs.
fn fill(work: &Path, root: &Path) -> anyhow::Result<()> {
    let unpacked = work.join("unpacked");
    run(Command::new("apt-get").args(["download", "--quiet"]).args(PACKAGES).current_dir(work))
        .or_else(|_| {
            run(Command::new("apt-get").args(["update", "--quiet"]))?;
            run(Command::new("apt-get").args(["download", "--quiet"]).args(PACKAGES).current_dir(work))
        })
        .context("cannot fetch the packages of the stand-in image")?;
    for file in fs::read_dir(work)?.flatten().filter(|file| file.path().extension().is_some_and(|end| end == "deb")) {
        run(Command::new("dpkg-deb").arg("--extract").arg(file.path()).arg(&unpacked))?;
    }
    for folder in ["bin", "etc", "tmp", "proc", "sys", "dev"] {
        fs::create_dir_all(root.join(folder))?;
    }
    let exporter = unpacked.join("usr/bin/prometheus-node-exporter");
    fs::copy(&exporter, root.join("bin/node_exporter")).context("the package has no node exporter in it")?;
    let busybox = ["bin/busybox", "usr/bin/busybox"].map(|path| unpacked.join(path));
    let busybox = busybox.iter().find(|path| path.is_file()).context("the package has no busybox in it")?;
    fs::copy(busybox, root.join("bin/busybox"))?;
    for tool in TOOLS {
        symlink("busybox", root.join("bin").join(tool))?;
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")?;
    fs::write(root.join("etc/group"), "root:x:0:\nnobody:x:65534:\n")?;
    add_libraries(&exporter, root)
}

/// Packs a program of this machine, with the shared libraries that it needs, as an image that starts it.
///
/// # Errors
/// When it cannot be read or the archive cannot be written.
pub fn of_program(program: &Path, image: &Image<'_>, archive: &Path) -> anyhow::Result<()> {
    let root = archive.with_extension("work");
    let packed = fill_with(program, image, &root).and_then(|()| pack(&root, image, archive));
    let removed = fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()));
    packed.and(removed)
}

fn fill_with(program: &Path, image: &Image<'_>, root: &Path) -> anyhow::Result<()> {
    let start = image.entrypoint.first().context("the image starts nothing")?;
    let target = root.join(start.trim_start_matches('/'));
    fs::create_dir_all(target.parent().unwrap_or(root))?;
    for folder in ["tmp", "proc", "sys", "dev", "etc"] {
        fs::create_dir_all(root.join(folder))?;
    }
    // What debuggers read makes the most of a program that was not optimised.
    let stripped = exists("strip") && run(Command::new("strip").arg("-o").arg(&target).arg(program)).is_ok();
    if !stripped {
        fs::copy(program, &target).with_context(|| format!("cannot copy {}", program.display()))?;
    }
    add_libraries(program, root)
}

fn add_libraries(program: &Path, root: &Path) -> anyhow::Result<()> {
    for library in libraries(program)? {
        let target = root.join(library.strip_prefix("/").unwrap_or(&library));
        fs::create_dir_all(target.parent().unwrap_or(root))?;
        fs::copy(&library, &target).with_context(|| format!("cannot copy {}", library.display()))?;
    }
    Ok(())
}

/// The shared libraries of a program and its loader, as `ldd` names them.
fn libraries(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let listed = Command::new("ldd").arg(program).output().context("cannot start ldd")?;
    Ok(paths(&String::from_utf8_lossy(&listed.stdout)))
}

fn paths(listed: &str) -> Vec<PathBuf> {
    listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{} failed: {}", command.get_program().display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldd_is_read_with_and_without_arrows() {
        let listed =
            "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/libc.so.6 (0x2)\n\t/lib64/ld-linux-x86-64.so.2 (0x3)\n";
        assert_eq!(paths(listed), [Path::new("/lib/libc.so.6"), Path::new("/lib64/ld-linux-x86-64.so.2")]);
        assert!(paths("\tnot a dynamic executable\n").is_empty());
    }
}
