// PTX helpers: the only place for inline PTX. With EMULATED defined they are host code of the same meaning.
#pragma once
