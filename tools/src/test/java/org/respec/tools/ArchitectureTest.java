package org.respec.tools;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The four modules depend on each other in one direction, and native code is touched in one place. */
class ArchitectureTest {
    private static JavaClasses classes;

    @BeforeAll
    static void load() {
        classes = new ClassFileImporter().withImportOption(new ImportOption.DoNotIncludeTests()).importPackages("org.respec");
    }

    @Test
    void onlyBindingsTouchNativeCode() {
        noClasses().that().resideOutsideOfPackage("org.respec.bindings..")
            .should().dependOnClassesThat().resideInAPackage("jcuda..")
            .orShould().dependOnClassesThat().haveFullyQualifiedName("java.lang.foreign.Linker")
            .orShould().dependOnClassesThat().haveFullyQualifiedName("java.lang.foreign.SymbolLookup").check(classes);
    }

    @Test
    void engineComputesThroughOpsAlone() {
        noClasses().that().resideInAPackage("org.respec.engine..")
            .should().dependOnClassesThat().resideInAnyPackage("org.respec.kernels.cpu..", "org.respec.kernels.gpu..").check(classes);
    }

    @Test
    void modulesDependDownwards() {
        noClasses().that().resideOutsideOfPackage("org.respec.tools..").should().dependOnClassesThat()
            .resideInAPackage("org.respec.tools..").check(classes);
        noClasses().that().resideInAnyPackage("org.respec.kernels..", "org.respec.bindings..").should().dependOnClassesThat()
            .resideInAPackage("org.respec.engine..").check(classes);
        noClasses().that().resideInAPackage("org.respec.bindings..").should().dependOnClassesThat()
            .resideInAPackage("org.respec.kernels..").check(classes);
    }

    @Test
    void enginePackagesHaveNoCycles() {
        slices().matching("org.respec.engine.(*)..").should().beFreeOfCycles().check(classes);
    }

    @Test
    void randomnessIsCounterBased() {
        noClasses().should().dependOnClassesThat().haveFullyQualifiedName("java.util.Random")
            .orShould().callMethod(Math.class, "random").check(classes);
    }
}
