#!/bin/sh
# Text in capital letters, lines of as many bytes as a row has, without a client:
# parfork exec --in text.npy --out loud.npy -n 2 -- sh upper.sh
width=$(printf %s "$PARFORK_MANIFEST" | sed 's/.*"shape":\[[0-9]*,\([0-9]*\)\].*/\1/')
while read -r word start end; do
    dd if="$PARFORK_IN_TEXT" bs="$width" iflag=skip_bytes,fullblock skip=$((PARFORK_OFFSET_TEXT + start * width)) count=$((end - start)) status=none | tr a-z A-Z |
        dd of="$PARFORK_OUT_LOUD" bs="$width" seek="$start" conv=notrunc iflag=fullblock status=none
    echo "done $start $end"
done
