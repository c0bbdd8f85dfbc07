//! `parfork --version --verbose`: what is to be known of this program and this machine when somebody reports something.

use std::ffi::OsString;

use parfork::cpus;
use parfork_workers::simd::Level;

/// What to print, if these arguments ask for that.
pub fn verbose(args: impl Iterator<Item = OsString>) -> Option<String> {
    let args: Vec<_> = args.skip(1).collect();
    let has = |names: [&str; 2]| args.iter().any(|arg| names.iter().any(|name| arg == name));
    let asks = args.len() == 2 && has(["--version", "-V"]) && has(["--verbose", "-v"]);
    asks.then(|| {
        let used = Level::current().map_or_else(|error| error.to_string(), |level| level.to_string());
        let version = env!("CARGO_PKG_VERSION");
        let cpu = Level::of_cpu();
        format!("parfork {version}\nvector instructions: {used} (this CPU: {cpu})\nCPUs that it may use: {}", cpus())
    })
}
