package deploy.packaged.@PACKAGE@

import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith

/** The golden inputs on this device: every output must be the trained model's, within its tolerance. */
@RunWith(AndroidJUnit4::class)
class @CLASS@Test {
    @Test
    fun predictsWhatWasTrained() {
@GOLDEN@
        @CLASS@(InstrumentationRegistry.getInstrumentation().targetContext).use { model ->
            for (rows in intArrayOf(@BATCHES@)) {
                val answer = model.predict(@CALL@)
@CHECKS@
            }
        }
    }

    private fun requireClose(name: String, want: List<Double>, got: List<Double>, tolerance: Double) {
        assertEquals("values of $name", want.size, got.size)
        for (place in want.indices) {
            val off = Math.abs(want[place] - got[place])
            assertTrue("$name[$place] is off by $off", want[place] == got[place] || off <= tolerance)
        }
    }

    /** Give what stands behind the header of a .npy file of version 1.0. */
    private fun npy(name: String): ByteBuffer {
        val assets = InstrumentationRegistry.getInstrumentation().context.assets
        val bytes = ByteBuffer.wrap(assets.open("@PACKAGE@-golden/$name").use { it.readBytes() }).order(ByteOrder.LITTLE_ENDIAN)
        bytes.position(10 + bytes.getShort(8).toInt())
        return bytes.slice().order(ByteOrder.LITTLE_ENDIAN)
    }
}
