package org.respec.tools.experiment;

import java.util.List;
import org.respec.tools.report.Plot;

/** What an experiment found. */
public record Outcome(List<Table> tables, List<Chart> charts, List<Claim> claims) {
    /** A plot and the name of its file, without ending. */
    public record Chart(String file, Plot plot) {
    }
}
