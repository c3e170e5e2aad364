//! Builds the C libraries that are asked for.
#![cfg_attr(
    feature = "zmq",
    allow(unsafe_code, reason = "flags for the C++ compiler, of which zeromq-src has no setting")
)]

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "zmq")]
    zmq();
    #[cfg(feature = "ndpi")]
    ndpi();
}

/// The shim over the system's libndpi, compiled for the version that pkg-config names.
#[cfg(feature = "ndpi")]
fn ndpi() {
    println!("cargo:rerun-if-changed=src/ndpi/shim.c");
    let why = "libndpi 4.2 or later is needed to tell applications: install libndpi-dev and pkg-config, or build without \
               the feature `ndpi`";
    let found = match pkg_config::Config::new().atleast_version("4.2").probe("libndpi") {
        Ok(found) => found,
        Err(error) => fail(&format!("{why} ({error})")),
    };
    let mut numbers = found.version.split('.').map_while(|part| part.parse::<u32>().ok());
    let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
        fail(&format!("libndpi says its version is `{}`, which is none", found.version));
    };
    cc::Build::new()
        .file("src/ndpi/shim.c")
        .define("FS_NDPI", (major * 100 + minor).to_string().as_str())
        // The library's headers are the system's: warnings about them help nobody.
        .flags(found.include_paths.iter().map(|path| format!("-isystem{}", path.display())))
        .compile("flowsonde_ndpi");
}

/// libzmq from the sources that `zeromq-src` carries, linked statically, and with it libsodium's static library: CURVE
/// is not an option that a build may lack.
#[cfg(feature = "zmq")]
fn zmq() {
    use std::path::Path;

    let why = "libsodium is needed to build ZeroMQ with CURVE: install libsodium-dev and pkg-config";
    // Only asked where it is: zeromq-src tells cargo what to link.
    let found = pkg_config::Config::new().cargo_metadata(false).atleast_version("1.0.16").probe("libsodium");
    if let Err(error) = found {
        fail(&format!("{why} ({error})"));
    }
    let folder = |name| match pkg_config::get_variable("libsodium", name) {
        Ok(folder) => folder,
        Err(error) => fail(&format!("{why} ({error})")),
    };
    let (library, headers) = (folder("libdir"), folder("includedir"));
    if !Path::new(&library).join("libsodium.a").exists() {
        fail(&format!("{why}; there is no libsodium.a in {library}"));
    }
    // Threads wake each other by eventfd(2), as in libzmq's own builds; zeromq-src leaves it with a pair of sockets. And
    // warnings about somebody else's code help nobody.
    let flags = std::env::var("CXXFLAGS").unwrap_or_default() + " -w";
    let eventfd = " -DZMQ_HAVE_EVENTFD=1 -DZMQ_HAVE_EVENTFD_CLOEXEC=1";
    let linux = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
    // SAFETY: this program has one thread.
    unsafe { std::env::set_var("CXXFLAGS", flags + if linux { eventfd } else { "" }) };
    zeromq_src::Build::new()
        // For ZMQ_OUT_BATCH_SIZE, which is of the draft API: bytes gathered into one write to a connection.
        .enable_draft(true)
        .with_libsodium(Some(zeromq_src::LibLocation::new(library, headers)))
        .build();
}

#[cfg(any(feature = "zmq", feature = "ndpi"))]
fn fail(why: &str) -> ! {
    println!("cargo:error={why}");
    std::process::exit(1)
}
