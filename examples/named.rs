//! Named segments: an array that other programs find by name, under a lock that the death of its holder gives back.
use ndarray::Ix2;
use parfork::SegmentErrorKind;
use parfork::named::{self, Named, Wait};

fn main() -> parfork::Result<()> {
    let name = format!("example-{}", std::process::id());
    // Gone when it is dropped, unless it is kept: `.keep(true)`.
    let mut plate = Named::<f32, _>::create(&name).zeros((480, 640))?;

    // Anybody of this user may open it, in any program; read-only with `open`.
    let mut seen = Named::<f32, Ix2>::open(&name)?;
    assert_eq!(seen.read()?.view().sum(), 0.0);

    // A guard is lent to a job like an array. What was written counts when it is published.
    let mut held = plate.write()?;
    parfork::fork(2, &mut held, |_, mut slice| slice.fill(0.5))?;
    let generation = held.publish()?;
    assert_eq!(seen.wait_past(0, Wait::new())?, generation);
    let held = seen.read()?;
    let sum: f32 = parfork::fork(2, &held, |w, plate| w.slice_of(plate).sum())?.sum();
    drop(held);
    println!("{name}: generation {generation}, sum {sum}");
    assert_eq!(sum, 480.0 * 640.0 * 0.5);

    // A guard that is let go without, as on the way out of an error, leaves it unfinished, and that is told.
    let mut held = plate.write()?;
    held.view_mut()[[0, 0]] = 7.0;
    drop(held);
    let refused = seen.read().map(drop).unwrap_err();
    assert!(matches!(refused, parfork::Error::Segment { kind: SegmentErrorKind::Unfinished { generation: 1 }, .. }));
    println!("{refused}");

    drop(plate);
    assert!(named::info(&name).is_err());
    Ok(())
}
