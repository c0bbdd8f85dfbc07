/* Writes a JPEG by libjpeg: jpegs OUT WIDTH HEIGHT FROM TO FACTORS FLAGS
   FROM and TO are gray, rgb, ycc, cmyk, ycck; FACTORS one for each component, as 2x2,1x1,1x1;
   FLAGS: p progressive, a arithmetic, r or t a restart behind every unit or every third, R behind every row of units, o tables of its own,
   n without JFIF and Adobe's marker, s a scan for each component, f the first in one of its own, l the last in one of its own. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

static J_COLOR_SPACE space(const char *name) {
    return !strcmp(name, "gray")   ? JCS_GRAYSCALE
           : !strcmp(name, "rgb")  ? JCS_RGB
           : !strcmp(name, "ycc")  ? JCS_YCbCr
           : !strcmp(name, "cmyk") ? JCS_CMYK
                                   : JCS_YCCK;
}

int main(int count, char **words) {
    if (count != 8) return 2;
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    jpeg_scan_info scans[4] = {{0}};
    FILE *out = fopen(words[1], "wb");
    const char *flags = words[7];
    if (!out) return 1;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, out);
    jpeg.image_width = atoi(words[2]), jpeg.image_height = atoi(words[3]);
    jpeg.in_color_space = space(words[4]);
    jpeg.input_components = jpeg.in_color_space == JCS_GRAYSCALE ? 1 : jpeg.in_color_space == JCS_CMYK ? 4 : 3;
    jpeg_set_defaults(&jpeg);
    jpeg_set_colorspace(&jpeg, space(words[5]));
    jpeg_set_quality(&jpeg, 92, TRUE);
    int all = jpeg.num_components;
    for (int i = 0; i < all; i++) {
        jpeg.comp_info[i].h_samp_factor = words[6][4 * i] - '0';
        jpeg.comp_info[i].v_samp_factor = words[6][4 * i + 2] - '0';
    }
    if (strchr(flags, 'p')) jpeg_simple_progression(&jpeg);
    if (strchr(flags, 'a')) jpeg.arith_code = TRUE;
    if (strchr(flags, 'o')) jpeg.optimize_coding = TRUE;
    if (strchr(flags, 'r')) jpeg.restart_interval = 1;
    if (strchr(flags, 't')) jpeg.restart_interval = 3;
    if (strchr(flags, 'R')) jpeg.restart_in_rows = 1;
    if (strchr(flags, 'n')) jpeg.write_JFIF_header = jpeg.write_Adobe_marker = FALSE;
    int first = strchr(flags, 'l') ? all - 1 : 1;
    if (strpbrk(flags, "sfl")) {
        int at = 0;
        for (int i = 0; i < all; at++) {
            scans[at].comps_in_scan = strchr(flags, 's') ? 1 : at == 0 ? first : all - first;
            scans[at].Se = 63;
            for (int k = 0; k < scans[at].comps_in_scan; k++) scans[at].component_index[k] = i++;
        }
        jpeg.scan_info = scans, jpeg.num_scans = at;
    }
    jpeg_start_compress(&jpeg, TRUE);
    int channels = jpeg.input_components;
    unsigned char *row = malloc(jpeg.image_width * channels);
    for (unsigned y = 0; y < jpeg.image_height; y++) {
        for (unsigned x = 0; x < jpeg.image_width; x++)
            for (int k = 0; k < channels; k++)
                row[x * channels + k] = (unsigned char)(128 + 100 * sin(x / 9.0 + k) * cos(y / 7.0 - k));
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    return fclose(out) != 0;
}
