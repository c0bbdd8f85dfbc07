//! What breaks the protocol is told, and clients that keep to it are printed.

use std::fs;
use std::path::Path;

use crate::fixture::Fixture;

#[test]
fn whatever_breaks_the_protocol_is_told() {
    let line = "--in a.npy --out b.npy -n 2 --split rows=10";
    // At once, for some of these programs are given time to end by themselves.
    std::thread::scope(|scope| {
        for (script, words) in [
            (
                "read l; echo garbage; read l",
                &["the program `sh` wrote \"garbage\" where `done` or `failed WHY` was expected, in answer to `slice "]
                    [..],
            ),
            ("cat", &["wrote \"slice "]),
            ("read l; printf '\\001\\377\\033[31mx\\n'; read l", &["wrote \"\\x01\\xff\\x1b[31mx\""]),
            ("read l; head -c 5000 /dev/zero; read l", &["a line of more than 4096 bytes", "\\x00\\x00"]),
            ("read l; printf don", &["wrote \"don\" and ended before the line's end"]),
            (
                "read l; printf don; exec >&-; read l",
                &["wrote \"don\" and closed its standard output before the line's end"],
            ),
            ("exec >&-; read l; read l", &["has closed its standard output and goes on", "slice "]),
            (
                "read l; exec <&-; echo done; exec sleep 1000",
                &["has closed its standard input and goes on, so that it cannot be given `slice "],
            ),
            ("read l; echo done 0 5; read l", &["wrote \"done 0 5\" where `done ", "0` was expected"]),
            ("read l; echo 'failed no such column'; read l", &["gave up on slice ", ": no such column"]),
            ("read l; echo failed; read l", &["failed and did not say why"]),
            ("read l; printf 'done\\ndone\\n'; read l; read l", &["wrote \"done\" before it was given a slice"]),
        ] {
            scope.spawn(move || {
                let fixture = Fixture::new();
                fixture.bytes("a.npy", 40);
                let text = fixture.exec_fails(line, script, 1, words);
                assert!(text.starts_with("parfork: worker ") && text.contains(" gave up on slice "), "{text}");
            });
        }
    });
    let fixture = Fixture::new();
    fixture.bytes("a.npy", 40);
    for (program, words) in [
        ("nonesuch", "`nonesuch` cannot be started: there is no such program"),
        ("./a.npy", "`./a.npy` cannot be started: it may not be executed; chmod +x"),
    ] {
        fixture.fails(&format!("exec {line} -- {program}"), 1, &["gave up on slice", words]);
    }
}

#[test]
fn clients_are_printed() {
    let fixture = Fixture::new();
    for (language, file) in [("python", "parfork.py"), ("c", "parfork.h")] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(file);
        assert_eq!(fixture.ok(&format!("exec --client {language}")), fs::read_to_string(path).unwrap());
    }
    fixture.fails("exec --in a.npy", 2, &["PROGRAM"]);
}
