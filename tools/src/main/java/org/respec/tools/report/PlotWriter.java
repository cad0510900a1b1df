package org.respec.tools.report;

import de.erichseifert.vectorgraphics2d.VectorGraphics2D;
import de.erichseifert.vectorgraphics2d.svg.SVGProcessor;
import de.erichseifert.vectorgraphics2d.util.PageSize;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.geom.Rectangle2D;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.regex.Pattern;
import javax.imageio.ImageIO;
import org.jfree.chart.JFreeChart;
import org.jfree.chart.text.TextUtils;
import org.respec.engine.BadInput;

/** Draws plots, without a screen. */
public final class PlotWriter {
    private static final int PIXELS_PER_POINT = 2;
    private static final Pattern HEAD = Pattern.compile("^.*?(?=<svg )", Pattern.DOTALL);

    private PlotWriter() {
    }

    /**
     * A PNG with its title on a white ground, for screens with two pixels a point: it has twice {@code width} by twice {@code height}
     * pixels.
     *
     * @throws BadInput if this machine has no fonts
     */
    public static byte[] png(Plot plot, int width, int height) {
        BufferedImage image = new BufferedImage(PIXELS_PER_POINT * width, PIXELS_PER_POINT * height, BufferedImage.TYPE_INT_RGB);
        Graphics2D graphics = image.createGraphics();
        try {
            graphics.setColor(Palette.BACKGROUND);
            graphics.fillRect(0, 0, image.getWidth(), image.getHeight());
            graphics.scale(PIXELS_PER_POINT, PIXELS_PER_POINT);
            graphics.setRenderingHint(RenderingHints.KEY_STROKE_CONTROL, RenderingHints.VALUE_STROKE_PURE);
            draw(plot, true, graphics, width, height);
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            ImageIO.write(image, "png", bytes);
            return bytes.toByteArray();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } finally {
            graphics.dispose();
        }
    }

    /**
     * An {@code <svg>} element without title, to be set into an HTML page. Its colours are CSS variables ({@link Palette#roles}), so
     * that the page may change them in the dark; where it does not, they are those of a light page.
     *
     * @param id prefix of the element's ids; one for each plot of a page
     * @throws BadInput if this machine has no fonts
     */
    public static String svg(Plot plot, int width, int height, String id) {
        VectorGraphics2D graphics = new VectorGraphics2D();
        draw(plot, false, graphics, width, height);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try {
            new SVGProcessor().getDocument(graphics.getCommands(), new PageSize(0, 0, width, height)).writeTo(bytes);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        String svg = HEAD.matcher(bytes.toString(StandardCharsets.UTF_8)).replaceFirst("");
        svg = svg.replace("id=\"clip", "id=\"" + id + "-clip").replace("url(#clip", "url(#" + id + "-clip")
            .replaceFirst("height=\"[^\"]*\"", "").replaceFirst(" width=\"[^\"]*\" x=\"[^\"]*\" y=\"[^\"]*\"", "")
            .replaceAll("font-family:[^;]*;", "").replaceAll(">\\s+<", "><");
        for (Palette.Role role : Palette.roles()) {
            svg = svg.replace(rgb(role.light()), "var(" + role.variable() + "," + hex(role.light()) + ")");
        }
        return svg.strip();
    }

    /** A colour in CSS. */
    static String hex(Color colour) {
        return String.format(Locale.ROOT, "#%06x", colour.getRGB() & 0xffffff);
    }

    private static String rgb(Color colour) {
        return "rgb(" + colour.getRed() + "," + colour.getGreen() + "," + colour.getBlue() + ")";
    }

    private static void draw(Plot plot, boolean titled, Graphics2D graphics, int width, int height) {
        try {
            // Upright and turned text alike stay text in an SVG; the workaround for old JDKs would make outlines of the latter.
            TextUtils.setUseDrawRotatedStringWorkaround(false);
            JFreeChart chart = Charts.of(plot, titled);
            chart.draw(graphics, new Rectangle2D.Double(0, 0, width, height));
        } catch (InternalError | UnsatisfiedLinkError | NoClassDefFoundError e) {
            throw new BadInput("plots need fonts, and this machine offers none to Java (" + e.getMessage()
                + "); install fontconfig and a font, for instance with apt-get install fontconfig fonts-dejavu-core.", e);
        }
    }
}
