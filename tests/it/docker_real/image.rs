//! Images without a registry: from scratch, over programs of this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::real::RealDocker;
use crate::support::temp_dir;

/// The shipped Dockerfile from its last stage on, over a binary that is there: no
/// registry, no compiler. What `RLB_STATIC_BINARY` names is measured; a test's own
/// binary is not static, and larger.
pub(super) fn build_rlb(docker: &RealDocker) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let context = temp_dir();
    let image = context.path().join("image");
    for directory in ["etc/rlb", "own/run/rlb", "own/var/lib/rlb"] {
        fs::create_dir_all(image.join(directory)).unwrap();
    }
    let file = root.join("config/docker.toml");
    fs::copy(file, image.join("etc/rlb/lb.toml")).unwrap();
    let built = std::env::var_os("RLB_STATIC_BINARY");
    let binary = match &built {
        Some(path) => Path::new(path),
        None => Path::new(env!("CARGO_BIN_EXE_rlb")),
    };
    fs::copy(binary, image.join("rlb")).unwrap();
    copy_libraries(binary, &image.join("own"));
    let dockerfile = fs::read_to_string(root.join("Dockerfile")).unwrap();
    let (_, last) = dockerfile
        .split_once("\nFROM scratch\n")
        .expect("its last stage");
    let last = last
        .replace("--from=build ", "")
        .replace(" /image/", " image/");
    fs::write(
        context.path().join("Dockerfile"),
        format!("FROM scratch\n{last}"),
    )
    .unwrap();
    docker.build("rlb", context.path());
    let size = docker.docker(["image", "inspect", "-f", "{{.Size}}", "rlb"]);
    let size: u64 = size.trim().parse().unwrap();
    eprintln!("image: {:.2} MiB", size as f64 / f64::from(1 << 20));
    if built.is_some() {
        assert!(size <= SIZE_MAX, "{size}");
    }
}

/// 13.21 MiB when it was measured last, 6.00 to pull; the Dockerfile says what weighs.
/// A quarter of a MiB may come before somebody has to look.
const SIZE_MAX: u64 = 27 << 19;

/// An image that runs this program, under the name of one from a registry.
pub(super) fn build_program(docker: &RealDocker, tag: &str, program: &Path) {
    let context = temp_dir();
    let root = context.path().join("root");
    fs::create_dir_all(root.join("tmp")).unwrap();
    fs::copy(program, root.join("program")).unwrap();
    copy_libraries(program, &root);
    let text = "FROM scratch\nCOPY root/ /\nENTRYPOINT [\"/program\"]\n";
    fs::write(context.path().join("Dockerfile"), text).unwrap();
    docker.build(tag, context.path());
}

/// What the loader would take, at the same places below `root`; nothing for a static one.
fn copy_libraries(program: &Path, root: &Path) {
    let listed = Command::new("ldd").arg(program).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let libraries = listed
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    for library in libraries.map(PathBuf::from).filter(|path| path.is_file()) {
        let place = root.join(library.strip_prefix("/").expect("an absolute path"));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(library, place).unwrap();
    }
}
